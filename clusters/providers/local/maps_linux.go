package local

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// manyIDs is how many user and group ids root takes along, so that programs
// can run as users other than one.
const manyIDs = 65536

type idMaps struct {
	uids, gids []syscall.SysProcIDMap
	setgroups  bool
}

// ownMaps is how our ids look inside: for an ordinary user its own id as 0,
// for root the ids that it has here, unchanged.
func ownMaps() (idMaps, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	one := idMaps{
		uids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		gids: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
	}
	if uid != 0 || !mayMapMany() {
		return one, nil
	}
	uids, err := sameIDs("/proc/self/uid_map")
	if err != nil {
		return one, err
	}
	gids, err := sameIDs("/proc/self/gid_map")
	if err != nil {
		return one, err
	}
	groups, err := os.ReadFile("/proc/self/setgroups")
	if err != nil {
		return one, fmt.Errorf("read whether groups may be set: %w", err)
	}
	return idMaps{uids: uids, gids: gids, setgroups: string(bytes.TrimSpace(groups)) == "allow"}, nil
}

// mayMapMany says whether we hold the capabilities that a map of more than
// one id takes. Root in a container often does not.
func mayMapMany() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	held := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	for _, c := range []uint{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETFCAP} {
		if held&(1<<c) == 0 {
			return false
		}
	}
	return true
}

// sameIDs is the identity map of all ids below manyIDs that exist here.
func sameIDs(file string) ([]syscall.SysProcIDMap, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the id map: %w", err)
	}
	var maps []syscall.SysProcIDMap
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var here, outside, size int
		if _, err := fmt.Sscan(lines.Text(), &here, &outside, &size); err != nil {
			return nil, fmt.Errorf("read the id map %q: %w", lines.Text(), err)
		}
		if size = min(size, manyIDs-here); size > 0 {
			maps = append(maps, syscall.SysProcIDMap{ContainerID: here, HostID: here, Size: size})
		}
	}
	return maps, lines.Err()
}

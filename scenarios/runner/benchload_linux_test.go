package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

const (
	loadWorkers = 16
	loadTime    = 10 * time.Second
)

// BenchmarkLoad alternates the load of a probe with the vegeta command line
// in the same network namespace, against the same workload by the same path,
// proxies included: as fast as 16 workers go, for ten seconds each.
func BenchmarkLoad(b *testing.B) {
	vegeta := os.Getenv(vegetaVariable)
	if vegeta == "" {
		b.Skip("the vegeta command line could not be built")
	}
	var ratios []float64
	b.Run(*meshName, func(b *testing.B) {
		bed, err := runner.NewBed(b.Context(), options(b, *meshName, "lateral/unauth-service"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := bed.Close(); err != nil {
				b.Error(err)
			}
		}()
		if err := bed.Ready(b.Context()); err != nil {
			b.Fatal(err)
		}
		race := race{bed, vegeta, b.TempDir()}
		if _, _, err := race.once(b.Context(), time.Second); err != nil { // both are warm then
			b.Fatal(err)
		}
		var ours, theirs []float64
		for b.Loop() {
			o, t, err := race.once(b.Context(), loadTime)
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("the load was served %.0f requests a second, the command line %.0f", o, t)
			ours, theirs, ratios = append(ours, o), append(theirs, t), append(ratios, o/t)
		}
		b.ReportMetric(quantile(ours, 0.5), "load-req/s")
		b.ReportMetric(quantile(theirs, 0.5), "vegeta-req/s")
		b.ReportMetric(quantile(ratios, 0.5), "ratio")
	})
	if len(ratios) > 0 {
		atLeast("honest load on "+*meshName+", load to vegeta command line, median ratio", quantile(ratios, 0.5), 0.9)
	}
}

type race struct {
	bed    *runner.Bed
	vegeta string
	dir    string
}

// once lets both run, one after the other, and gives requests served a second.
func (r race) once(ctx context.Context, d time.Duration) (ours, theirs float64, err error) {
	p, err := r.bed.Load(ctx, loadWorkers, d)
	if err != nil {
		return 0, 0, err
	}
	if p.Lost > 0 {
		return 0, 0, fmt.Errorf("the load lost %d requests of %d, the first: %s", p.Lost, p.Requests, p.Losses[0].Why)
	}
	theirs, err = r.commandLine(ctx, d)
	return float64(p.Served) / p.End.Sub(p.Start).Seconds(), theirs, err
}

// commandLine runs vegeta in the friend's network.
func (r race) commandLine(ctx context.Context, d time.Duration) (float64, error) {
	k, err := r.bed.Request()
	if err != nil {
		return 0, err
	}
	targets, results := filepath.Join(r.dir, "targets"), filepath.Join(r.dir, "results")
	text := fmt.Sprintf("%s http://%s%s\nHost: %s\n%s: %s\n", k.Method, k.Address, k.Path, k.Host, attacker.HeaderNonce, k.Nonce)
	if err := os.WriteFile(targets, []byte(text), 0o600); err != nil {
		return 0, err
	}
	workers := strconv.Itoa(loadWorkers)
	attack := exec.CommandContext(ctx, r.vegeta, "attack", "-rate=0", "-workers="+workers, "-max-workers="+workers,
		"-max-body=0", "-duration="+d.String(), "-timeout=2s", "-targets="+targets, "-output="+results)
	if err := r.inFriendsNetwork(attack.Start); err != nil {
		return 0, err
	}
	if err := attack.Wait(); err != nil {
		return 0, fmt.Errorf("vegeta attack: %w", err)
	}
	raw, err := exec.CommandContext(ctx, r.vegeta, "report", "-type=json", results).Output()
	if err != nil {
		return 0, fmt.Errorf("vegeta report: %w", err)
	}
	var said struct {
		Success    float64  `json:"success"`
		Throughput float64  `json:"throughput"`
		Errors     []string `json:"errors"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return 0, err
	}
	if said.Success < 1 {
		return 0, fmt.Errorf("vegeta was served %.3f of its requests: %v", said.Success, said.Errors)
	}
	return said.Throughput, nil
}

// inFriendsNetwork starts something where the friend is. The thread that went
// there is not used again: it ends with its goroutine.
func (r race) inFriendsNetwork(start func() error) error {
	_, fd, err := r.bed.Friend()
	if err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- errors.Join(errors.New("enter the network of the friend"), err)
			return
		}
		done <- start()
	}()
	return <-done
}

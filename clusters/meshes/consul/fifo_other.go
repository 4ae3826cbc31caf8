//go:build !unix

package consul

import (
	"errors"
	"os"
)

func openPipe(string) (*os.File, error) {
	return nil, errors.New("this system has no named pipes")
}

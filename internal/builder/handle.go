package builder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// handle is hold of one process that cannot come to mean another (pidfd).
type handle struct{ fd, pid int }

func hold(pid int) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("take hold of process %d: %w", pid, err)
	}
	return &handle{fd, pid}, nil
}

func (h *handle) close() { _ = unix.Close(h.fd) }

// kill sends SIGKILL. That it is gone already is no error.
func (h *handle) kill() { _ = unix.PidfdSendSignal(h.fd, unix.SIGKILL, nil, 0) }

// gone waits until the process has ended. The first process of a PID namespace
// ends last, after all others in it.
func (h *handle) gone(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", h.pid, err)
		case n > 0:
			return nil
		case left == 0:
			return fmt.Errorf("wait for process %d: still there %v after it was killed", h.pid, limit)
		}
	}
}

// sweep kills every process that carries the mark in its environment, until
// there is none. It is the second net, for what killed its supervisor.
func sweep(mark string) error {
	for deadline := time.Now().Add(patience); ; {
		found, err := marked(mark)
		if err != nil || len(found) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end the build: process %d starts ever new ones", found[0])
		}
		for _, pid := range found {
			if err := killHeld(pid); err != nil {
				return err
			}
		}
	}
}

func killHeld(pid int) error {
	h, err := hold(pid)
	if err != nil {
		return nil // gone meanwhile
	}
	defer h.close()
	h.kill()
	return h.gone(patience)
}

// marked lists the processes with the mark. Those of other users hide their
// environment from us, so they are none of ours.
func marked(mark string) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			found = append(found, pid)
		}
	}
	return found, nil
}

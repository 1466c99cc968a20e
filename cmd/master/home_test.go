package main

import (
	"syscall"
	"testing"
)

// TestCloseUnlocksTheState also while somebody else has the file of the lock open: a child
// has, from its fork until it is another program.
func TestCloseUnlocksTheState(t *testing.T) {
	t.Parallel()
	set := settings{StateDir: t.TempDir()}
	h, err := lockHome(set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockHome(set); err == nil {
		t.Fatal("two have the state at once")
	}
	child, err := syscall.Dup(int(h.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	h.Close()
	again, err := lockHome(set)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

package chaostest

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"

	"pinwheel/internal/pgtest"
)

// Variables by which this binary starts itself once more as something else.
const (
	natsVariable  = "PINWHEEL_CHAOS_NATS"  // the configuration file of a NATS server
	mountVariable = "PINWHEEL_CHAOS_MOUNT" // set: its mounts are nobody else's
)

func TestMain(m *testing.M) {
	if file := os.Getenv(natsVariable); file != "" {
		os.Exit(serveNATS(file))
	}
	if os.Geteuid() == 0 && os.Getenv(mountVariable) == "" {
		// It returns only if this root may not do it; then no disk is filled.
		fmt.Fprintln(os.Stderr, "mounts of its own:", aloneWithMounts())
	}
	pgtest.Main(m)
}

// aloneWithMounts starts this program again in its place, with mounts that no
// other process sees: they go with the last one that has them.
func aloneWithMounts() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), mountVariable+"=1"))
}

// serveNATS is a NATS server of others, told what nats-config printed.
func serveNATS(file string) int {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	opts.NoSigs, opts.Logtime = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.ConfigureLogger()
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	s.Start()
	<-ends
	s.Shutdown()
	s.WaitForShutdown()
	return 0
}

package builder

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// hostPlatform is set in the environment of a build whose Python is of 32 bits below a
// kernel of 64 (pip.Python.HostPlatform), and in no other.
const hostPlatform = "_PYTHON_HOST_PLATFORM"

// linux32 is the kernel's PER_LINUX32 (personality(2)): uname says armv8l instead of
// aarch64, and i686 instead of x86_64.
const linux32 = 0x0008

// seem32 has the kernel say of itself what a 32-bit Python's build is told, for
// `uname -m` and CMake as well; who chooses sources by them would take those of the wrong
// machine. It holds for this thread and what it becomes. A unit may forbid it: then
// builds go on as they did before there was this.
func seem32() {
	if os.Getenv(hostPlatform) == "" {
		return
	}
	runtime.LockOSThread() // until it becomes another program
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PERSONALITY, linux32, 0, 0); errno != 0 {
		fmt.Fprintf(os.Stderr, "pinwheel: uname tells this build of a 64-bit machine: %v (LockPersonality= of a unit does that)\n", errno)
	}
}

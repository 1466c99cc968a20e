// Package armtest builds wheels for 32-bit ARM with a whole farm of processes, and
// installs them with the pip of such a system.
//
// Input: a root as scripts/armroot makes it, named by PINWHEEL_ARM_ROOT, and both
// programs, built here. Output: test failures. The slave runs on this machine and
// builds in its sandbox for two targets; pip runs inside the root, as on a Pi that has
// the farm as extra index. Where the CPU is not ARM, qemu runs what is inside. All
// that is asked over a network is an index in this process: its projects bring their
// build backend, so that no build needs another index. The root is not changed.
// It has no code outside its tests.
package armtest

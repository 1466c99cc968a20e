// Package proc starts child processes that die with us and, where it must be,
// run under another user.
//
// Input is an exec.Cmd; output is a running child whose end can be waited for.
// It owns the kernel's side of a child's life: its user, its process group and
// its parent-death signal. After a crash, also after kill -9 of this program,
// the kernel ends every child that Start started. It never adds users, and
// never changes the identity of this process itself: credentials are set in
// the child, before exec.
package proc

// Package builder builds one release: one `pip wheel` in a sandbox with limits.
// It is the only package that runs packages' code.
//
// Input is a Build: a pinned requirement, the indexes, a root and its Python, a folder to
// work below, a mode and limits. Output is a Result: a wheel of the right name,
// version and tags, or a failure with its cause, and always the capped log.
//
// It owns the folder box below Build.Dir while a build lasts, and every process
// of the build. When Run returns, both are gone, whatever the build left
// running or however it set its files' modes; only the wheel in Build.Dir/out
// and the log stay. After a crash of this program, also after kill -9, the
// kernel ends the build (bwrap: with its PID namespace; none: through the
// supervisor, which nothing but hostile code escapes), and the next Run in that
// folder removes what is left of the box.
//
// It never trusts what a build leaves: nothing of the build's is opened before
// the last process is dead, and never through a link. Whether a wheel is sound
// is not its question: package wheel asks that. Its network is a
// loopback, and what the proxy lets through (decision 31); without bwrap it is the
// host's.
//
// Limits are of the build as a whole: time, log, and four times a second the memory
// of all its processes, the disk of all its files and the number of its threads.
// What slips through between two looks meets the kernel's limits for each process.
package builder

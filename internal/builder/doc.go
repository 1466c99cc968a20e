// Package builder builds one release: one `pip wheel` in a sandbox with limits.
// It is the only package that runs packages' code.
//
// Input is a Build: a pinned requirement, the indexes, the Python, a folder to
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
// is not its question: package wheel asks that. The network is the host's, and
// no limits are set but of time and log.
package builder

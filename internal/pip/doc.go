// Package pip asks Python and pip everything but to build: which Python can be
// used here and what it is, which index its pip uses, a pinned wheel to fetch,
// and whether an index really serves what an install needs.
//
// Input is the machine as it stands: interpreters, the caller's pip settings
// and environment. Output is values. The package owns the folders that it makes
// below the one that a call names, and removes them before the call returns;
// after a crash such a folder may be left, and nothing else: every child dies
// with us (package proc).
//
// Whatever runs foreign code (an import, an install) runs as the user that the
// caller gives, with CleanEnv as its environment. No address of an index stands
// here: pip itself is asked. It never builds: that is package builder's.
package pip

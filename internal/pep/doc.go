// Package pep holds Python's packaging rules as pure functions: names, versions
// and specifiers, tags, file names, core metadata.
//
// Input is text that strangers wrote: names from an index, file names from an
// upload, METADATA from inside a wheel. Output is a value of this package, or
// an error that names the text and the rule. Every parser takes time linear in
// its input, and numbers in versions have no upper bound.
//
// The rules are those of PEP 425 (tags), 427 (wheels), 440 (versions), 503 and
// 508 (names) and the core metadata specification, read as the reference
// library "packaging" reads them; the vectors in testdata hold the package to
// that. Where a function is stricter, its comment says so.
//
// The package owns nothing and keeps nothing, so there is nothing to restore
// after a crash. It never does I/O, never logs, never looks at the clock, and
// imports only the standard library.
package pep

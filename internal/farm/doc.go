// Package farm holds the nouns of the build farm: targets, jobs and the states
// they may take, outcomes and causes, slaves' names, and the sentinel errors
// that stages and programs share.
//
// It has no input and no output of its own and imports nothing but pep, so that
// every other package may speak in its words. What it says about states stands
// again as CHECK constraints in sql/, and a test holds the two together.
package farm

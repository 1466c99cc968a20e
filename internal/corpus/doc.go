// Package corpus holds the rules of failures to real logs. Its cases are projects
// that do not build, one file each in testdata/cases; a test builds them with the
// real builder, real pip and the real tools that they want, and holds cause, detail
// and hint against what the file says. What such runs left is kept as excerpts in
// testdata/excerpts, made by several pips and Pythons, and testdata/causes.tsv says
// what the rules make of each: so whoever changes a rule sees what else it changes.
//
//	go test ./internal/corpus                  # the cases with this machine's Python; the kept excerpts
//	go test ./internal/corpus -run Kept -update            # write causes.tsv anew: read its difference
//	PINWHEEL_TEST_PYTHONS='/opt/py312/bin/python3 …' go test ./internal/corpus -run Cases -update
//
// The last builds the cases with those Pythons too, and keeps their excerpts. No
// excerpt is written by hand.
//
// A case begins with what it is about, and lines of these forms; later ones win
// where their conditions hold:
//
//	want: CAUSE | DETAIL | HINT        the detail is a regular expression; or: want: built
//	want from 3.12: …                  with this Python and newer ones
//	want from pip 24.1: …              with this pip and newer ones
//	want without cmake: …              where builds find no such program
//	limit: 5s                          of the build; else a minute
//	serve: setuptools                  the index has a real one
//	serve: FILE status 503             what else is odd about the index's files
//	serve: FILE requires-python >=4
//	serve: FILE sha256 0123…
//
// Its files are those of sdists, NAME-VERSION/PATH, where build.py is the body of
// an in-tree backend's build_wheel(d), hooks.py is added to that backend, and
// NAME-VERSION-py3-none-any.whl is a wheel of the index with more lines of METADATA.
// What is built is demo 1.0.
package corpus

// Package architecture holds the code to docs/: the import table, the states of
// a job, and every function, file and table that the documents name.
//
// Input: the documents, and the module's source as `go list` and the parser see
// it. Output: test failures that name the line to change. The tables stand in
// the documents only, so what people read is what is checked. It has no code
// outside its tests, owns nothing and writes nothing.
package architecture

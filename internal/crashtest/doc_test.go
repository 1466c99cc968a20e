// Package crashtest kills the farm's programs at every named point (package
// crash), restarts what they stand on, and holds the whole farm to account.
//
// Input: the module's own programs, built once, and stories of an upstream.
// Output: test failures. Every test has real processes, a database, an upstream
// and a state folder of its own; all of it goes with the test, and processes die
// with it however it ends. It has no code outside its tests.
package crashtest

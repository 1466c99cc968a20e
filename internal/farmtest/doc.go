// Package farmtest helps tests that run a whole farm: slaves in this process,
// waiting for jobs to end, and a checker that holds the whole result together,
// rows, files, hashes and links. It starts no master: programs do that.
package farmtest

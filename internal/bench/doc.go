// Package bench holds the benchmarks that cross packages: the queue over the
// wire at 10,000 and at 25,000,000 rows, uploads, publishing. They run by `make
// bench` and never among the tests; docs/performance.md has their figures. Each
// measures the real path and, in the same run, a plain way of doing the same
// work; what they print, benchstat reads.
package bench

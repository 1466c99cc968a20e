// Package simulate builds all of an index once, by a farm whose slaves and whose
// time are simulated and whose queue is not.
//
// Input: how many versions, how many slaves, and a seed. Output: how long slaves
// were idle while there was work, how long all of it took, and what the master
// spent on it; `make simulate` prints a table and writes docs/simulation.svg.
//
// Real are: dispatch, collect, store and the embedded Postgres, durable as a
// farm's; each wheel, tiny, is really made and verified. Simulated are: the builds,
// which take a time that is drawn; the slaves' deaths; and the clock. Postgres is
// given a function now() that comes before its own in the search path, so that
// leases, deadlines and back-off run on simulated time in the farm's own statements
// (docs/decisions/0025-simulated-clock.md). What the farm's code takes of real time
// is added to the time of the slave that waits for it: a claim of two milliseconds
// is two milliseconds in which that slave is idle.
//
// Left out are: the wire, the upload of files and their disk, pages, and the agent.
// Those have benchmarks of their own in internal/bench.
package simulate

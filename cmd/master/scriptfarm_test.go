package main

import (
	"crypto/rand"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/clitest"
	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/store"
)

// The commands of scripts that make what is in a farm: on the script's own
// database, and the depot of its state directory.
//
//	queued PACKAGE VERSION...        releases without a build, the first one oldest
//	leased SLAVE                     the first job of the queue is its
//	heard SLAVE                      it gave a sign of life
//	built PACKAGE VERSION [LOG]      a wheel, and the number of its build as BUILD
//	broken PACKAGE VERSION CAUSE DETAIL  a failure by the slave "maker", its excerpt and log "fatal error: DETAIL"
//	attended                         wait until a master hears orders
//	locked TABLE, unlocked           nobody gets at the table meanwhile
//	blocked                          wait until somebody waits for it

// onFarm opens the script's farm for the time of one command.
func onFarm(s *clitest.Script, do func(byHand)) {
	st, err := store.Open(s.TB.Context(), s.Var("PINWHEEL_DATABASE_URL"))
	s.Must(err)
	defer st.Close()
	files, err := depot.Open(filepath.Join(s.Var("PINWHEEL_STATE_DIR"), "depot"))
	s.Must(err)
	target, err := farm.ParseTarget(s.Var("TARGET"))
	s.Must(err)
	do(byHand{TB: s.TB, store: st, depot: files, target: target})
}

func queued(s *clitest.Script, args []string) {
	onFarm(s, func(h byHand) { h.queue(args[0], args[1:]...) })
}

func leased(s *clitest.Script, args []string) {
	onFarm(s, func(h byHand) { s.SetVar("BUILD", num(h.lease(args[0], rand.Text()).Build)) })
}

func heard(s *clitest.Script, args []string) {
	onFarm(s, func(h byHand) {
		slave, err := h.store.Slave(h.Context(), args[0])
		h.must(err)
		_, err = h.store.Heard(h.Context(), store.Word{Slave: slave.ID, Pulse: &farm.Pulse{}})
		h.must(err)
	})
}

func built(s *clitest.Script, args []string) {
	log := ""
	if len(args) > 2 {
		log = args[2] + "\n"
	}
	onFarm(s, func(h byHand) { s.SetVar("BUILD", num(h.built(args[0], args[1], log).ID)) })
}

func broken(s *clitest.Script, args []string) {
	onFarm(s, func(h byHand) {
		f := farm.Failure{Cause: farm.Cause(args[2]), Detail: args[3]}
		s.SetVar("BUILD", num(h.failed(args[0], args[1], f).ID))
	})
}

func attended(s *clitest.Script, _ []string) {
	onFarm(s, func(h byHand) {
		farmtest.Eventually(s.TB, "a master hears orders", func() bool {
			yes, err := h.store.Attended(h.Context())
			return err == nil && yes
		})
	})
}

// lockKey is where the script keeps the connection that holds a lock.
type lockKey struct{}

func locked(s *clitest.Script, args []string) {
	conn := connect(s)
	_, err := conn.Exec(s.TB.Context(), "begin; lock table "+pgx.Identifier{args[0]}.Sanitize())
	s.Must(err)
	s.Keep(lockKey{}, conn)
}

func unlocked(s *clitest.Script, _ []string) {
	s.Must(s.Kept(lockKey{}).(*pgx.Conn).Close(s.TB.Context()))
}

func blocked(s *clitest.Script, _ []string) {
	conn := connect(s)
	defer conn.Close(s.TB.Context())
	const q = `
select exists (select 1 from pg_locks l join pg_database d on d.oid = l.database
    where not l.granted and d.datname = current_database())`
	farmtest.Eventually(s.TB, "somebody waits for the lock", func() bool {
		var yes bool
		s.Must(conn.QueryRow(s.TB.Context(), q).Scan(&yes))
		return yes
	})
}

func connect(s *clitest.Script) *pgx.Conn {
	conn, err := pgx.Connect(s.TB.Context(), s.Var("PINWHEEL_DATABASE_URL"))
	s.Must(err)
	return conn
}

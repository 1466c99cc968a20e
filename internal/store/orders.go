package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// OrderChannel is the channel of NOTIFY for orders; the payload is an Order. They
// are hints: what must not be lost stands in rows, and the daemon looks at those
// whenever it begins to listen.
const OrderChannel = "farm_orders"

// What an Order can ask for.
const (
	OrderPause  = "pause"
	OrderResume = "resume"
	OrderAbort  = "abort"
	OrderQuit   = "quit"
	OrderRevoke = "revoke"
)

// Order is a word to one slave, for the daemon that has the wire.
type Order struct {
	Slave string `json:"slave"`
	Do    string `json:"do"`
	Token string `json:"token,omitempty"` // of the lease, for abort
}

// ParseOrder reads a notification; ok is false for the empty one, which says that
// orders may have been missed.
func ParseOrder(payload string) (o Order, ok bool) {
	return o, json.Unmarshal([]byte(payload), &o) == nil
}

func notifyOrder(ctx context.Context, tx pgx.Tx, o Order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `select pg_notify($1, $2)`, OrderChannel, string(body))
	return err
}

// The farm's advisory locks, all in one space of its own: no two mean the same. They
// go with the connection or the transaction, hence with whoever holds them, however
// that ends.
const (
	attendSpace = 0x70696e77 // "pinw"

	attendKey  = 1 // shared by all that listen for orders
	tallyKey   = 2 // whoever counts the farm
	recipesKey = 3 // shared by whoever makes jobs, whole for who changes recipes
	waitKey    = 4 // whoever begins to wait for a requirement
)

// attended says in a statement whether somebody holds the lock of those that listen; $1
// and $2 name it.
const attended = `exists (select 1 from pg_locks l join pg_database d on d.oid = l.database
    where l.locktype = 'advisory' and l.mode = 'ShareLock' and l.granted
    and l.classid::bigint = $1 and l.objid::bigint = $2 and d.datname = current_database())`

// Attended says whether a daemon serves this database: it hears orders and writes
// stale pages.
func (s *Store) Attended(ctx context.Context) (bool, error) {
	var yes bool
	if err := s.pool.QueryRow(ctx, `select `+attended, attendSpace, attendKey).Scan(&yes); err != nil {
		return false, fmt.Errorf("look for a daemon: %w", translate(err))
	}
	return yes, nil
}

// lockSlave finds a slave that can be told something. Claims under way are waited
// for, and those that come later see what this transaction does: see claimOne.
func lockSlave(ctx context.Context, tx pgx.Tx, name string) (id int64, err error) {
	const q = `select id, role, revoked_at is not null from slaves where name = $1 for update`
	var role farm.Role
	var revoked bool
	if err := tx.QueryRow(ctx, q, name).Scan(&id, &role, &revoked); err != nil {
		return 0, err
	}
	if role != farm.RoleSlave {
		return 0, fmt.Errorf("%s is enrolled as %s, which builds nothing", name, role)
	}
	if revoked {
		return 0, fmt.Errorf("%s was revoked; `master enroll %s` lets it in again", name, name)
	}
	return id, nil
}

// PauseSlave makes a slave get no further job, for a reason that people read, or none. It
// may be said twice; the last reason counts. farm.ErrNotFound: nobody of that name is enrolled.
func (s *Store) PauseSlave(ctx context.Context, name, why, actor string) error {
	const q = `
update slaves set paused = true, faults = 0, paused_why = $2,
    paused_at = case when paused then coalesce(paused_at, now()) else now() end
where id = $1`
	return s.order(ctx, Order{Slave: name, Do: OrderPause}, actor, pauseNote{why}, q, why)
}

// ResumeSlave ends a slave's pause, whoever began it. It may be said twice.
// farm.ErrNotFound: nobody of that name is enrolled.
func (s *Store) ResumeSlave(ctx context.Context, name, actor string) error {
	const q = `update slaves set paused = false, faults = 0, paused_why = '', paused_at = null where id = $1`
	return s.order(ctx, Order{Slave: name, Do: OrderResume}, actor, pauseNote{}, q)
}

// pauseNote is what the audit trail keeps of a pause.
type pauseNote struct {
	Reason string `json:"reason,omitempty"`
}

// order writes what an order changes of a slave's row, which is $1, and tells the slave.
func (s *Store) order(ctx context.Context, o Order, actor string, detail any, q string, args ...any) error {
	return s.inTx(ctx, o.Do+" slave "+o.Slave, func(tx pgx.Tx) error {
		id, err := lockSlave(ctx, tx, o.Slave)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, q, append([]any{id}, args...)...); err != nil {
			return err
		}
		if err := notifyOrder(ctx, tx, o); err != nil {
			return err
		}
		return note(ctx, tx, actor, o.Do, o.Slave, detail)
	})
}

// QuitSlave asks a slave to finish what it builds, report it, and end. Only a
// slave that is connected now can hear it: of one that was not heard for Live, or that no
// master could tell, the error says so, and nothing is written. farm.ErrNotFound: nobody of
// that name is enrolled.
func (s *Store) QuitSlave(ctx context.Context, name, actor string) error {
	var deaf error
	err := s.inTx(ctx, "quit slave "+name, func(tx pgx.Tx) error {
		id, err := lockSlave(ctx, tx, name)
		if err != nil {
			return err
		}
		if deaf, err = hearsNothing(ctx, tx, id, name); deaf != nil || err != nil {
			return err
		}
		if err := notifyOrder(ctx, tx, Order{Slave: name, Do: OrderQuit}); err != nil {
			return err
		}
		return note(ctx, tx, actor, "quit", name, struct{}{})
	})
	return cmp.Or(err, deaf)
}

// hearsNothing is why an order to a slave would reach nobody, in words for people; nil if
// it is heard. An order is for who is there.
func hearsNothing(ctx context.Context, tx pgx.Tx, id int64, name string) (why, err error) {
	var told bool
	var silent *time.Duration
	const q = `select ` + attended + `, now() - last_seen from slaves where id = $3`
	switch err := tx.QueryRow(ctx, q, attendSpace, attendKey, id).Scan(&told, &silent); {
	case err != nil:
		return nil, err
	case !told:
		return fmt.Errorf("%s was not told: no master runs; start one, or end the slave on its host", name), nil
	case silent == nil:
		return fmt.Errorf("%s was not told: it was never heard; if it runs, end it on its host", name), nil
	case *silent > Live:
		ago := strings.TrimSuffix(silent.Round(time.Minute).String(), "0s")
		return fmt.Errorf("%s was not told: it was last heard %s ago; if it runs, end it on its host", name, ago), nil
	}
	return nil, nil
}

// Freed is a job whose lease was taken back by an order.
type Freed struct {
	Job     int64  `json:"job"`
	Package string `json:"package"`
	Version string `json:"version"`
	Target  string `json:"target"`
	token   string
}

// AbortSlave takes back the newest lease of a slave, which is what it builds: it
// asks for the next job only when one has ended. What the build still brings does
// not count. ok is false when the slave builds nothing: it has no lease, or has said since
// the newest that it builds none of them. What it brings home then is finished work.
func (s *Store) AbortSlave(ctx context.Context, name, actor string) (f Freed, ok bool, err error) {
	err = s.inTx(ctx, "abort the build of slave "+name, func(tx pgx.Tx) error {
		id, err := lockSlave(ctx, tx, name)
		if err != nil {
			return err
		}
		// As the agent words it; after a hello it has said nothing yet. Its word may have been
		// on its way while the lease was, in the other direction.
		const rests = `
select s.doing <> '' and s.doing not like 'building %' and s.last_seen > coalesce((
    select max(b.started_at) from jobs j join builds b on b.token = j.lease_token
    where j.lease_slave_id = s.id and j.state = 'leased'), 'infinity') + interval '10 seconds'
from slaves s where s.id = $1`
		var idle bool
		if err := tx.QueryRow(ctx, rests, id).Scan(&idle); err != nil || idle {
			return err
		}
		freed, err := freeLeases(ctx, tx, id, 1, "aborted by "+actor)
		if err != nil || len(freed) == 0 {
			return err
		}
		f, ok = freed[0], true
		if err := notifyOrder(ctx, tx, Order{Slave: name, Do: OrderAbort, Token: f.token}); err != nil {
			return err
		}
		return note(ctx, tx, actor, "abort", name, f)
	})
	return f, ok, err
}

// RevokeSlave ends a name's rights in the database: its leases are free at once,
// and nothing counts that it still brings, not even after the name is enrolled
// again. The key says which credentials are meant: farm.ErrConflict if the name
// has others by now. Revoking twice is harmless.
func (s *Store) RevokeSlave(ctx context.Context, name, publicKey, actor string) (freed []Freed, err error) {
	err = s.inTx(ctx, "revoke "+name, func(tx pgx.Tx) error {
		const find = `select id, public_key from slaves where name = $1 for update`
		var id int64
		var key string
		if err := tx.QueryRow(ctx, find, name).Scan(&id, &key); err != nil {
			return err
		}
		if key != publicKey {
			return fmt.Errorf("%w: it was enrolled anew meanwhile; revoke it again if that is meant", farm.ErrConflict)
		}
		const revoke = `update slaves set revoked_at = coalesce(revoked_at, now()), doing = '' where id = $1`
		if _, err := tx.Exec(ctx, revoke, id); err != nil {
			return err
		}
		if freed, err = freeLeases(ctx, tx, id, math.MaxInt32, "revoked by "+actor); err != nil {
			return err
		}
		// A lease that was lost before could still be redeemed by good work.
		const disown = `update builds set outcome = 'superseded' where slave_id = $1 and outcome = 'lost'`
		if _, err := tx.Exec(ctx, disown, id); err != nil {
			return err
		}
		if err := notifyOrder(ctx, tx, Order{Slave: name, Do: OrderRevoke}); err != nil {
			return err
		}
		return note(ctx, tx, actor, ActionRevoke, name, map[string]any{"jobs": len(freed)})
	})
	return freed, err
}

// freeLeases sends the newest leased jobs of a slave back to the queue, up to
// limit of them. Their builds end as superseded rather than lost: an order is
// meant, so nothing that they bring later counts.
func freeLeases(ctx context.Context, tx pgx.Tx, slave int64, limit int, why string) ([]Freed, error) {
	const q = `
with gone as (
    select j.id, j.lease_token as token
    from jobs j join builds b on b.token = j.lease_token
    where j.lease_slave_id = $1 and j.state = 'leased'
    order by b.id desc -- the newest is the one that is being built
    limit $2 for update of j
), moved as (
    update jobs j set state = 'queued', not_before = now(), changed_at = now(),
        lease_token = null, lease_slave_id = null, lease_deadline = null
    from gone where j.id = gone.id
    returning j.id, gone.token
), ended as (
    update builds b set outcome = 'superseded', ended_at = now(), detail = $3
    from moved where b.token = moved.token and b.outcome is null
), woken as (
    select pg_notify('farm_queue', '') from moved limit 1
)
select m.id, f.package, f.version, f.target, m.token
from moved m join job_facts f on f.id = m.id
where (select count(*) from woken) >= 0 -- so that it is done`
	rows, err := tx.Query(ctx, q, slave, limit, why)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Freed, error) {
		var f Freed
		err := r.Scan(&f.Job, &f.Package, &f.Version, &f.Target, &f.token)
		return f, err
	})
}

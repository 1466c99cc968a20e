package main

import (
	"context"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// revocationsEvery is how often the NATS server is told of revocations unasked:
// only a file that could not be read at the time makes that necessary.
const revocationsEvery = 10 * time.Minute

// orders passes on what commands beside the daemon want of slaves. They speak by
// the database; an order that nobody heard is not lost where that would matter:
// pauses and aborts go out with the next beat too, and revocations are read from
// the keys at each start.
func (m *Master) orders(ctx context.Context) error {
	return service.RunAll(ctx,
		service.Part{Name: "listen", Run: func(ctx context.Context) error {
			return m.Store.Listen(ctx, store.OrderChannel, m.passOn)
		}},
		service.Part{Name: "revocations", Run: service.Loop{
			Every: revocationsEvery, Wake: m.revoked, Log: m.log,
			Do: func(context.Context) error { return m.tellRevocations() },
		}.Run},
	)
}

// passOn gets each order, and something that is none whenever orders may have
// been missed.
func (m *Master) passOn(payload string) {
	o, ok := store.ParseOrder(payload)
	if ok && o.Do == store.OrderRevoke {
		m.log.Info().Str("slave", o.Slave).Msg("revoked")
	}
	if !ok || o.Do == store.OrderRevoke {
		select {
		case m.revoked <- struct{}{}:
		default: // it is to be woken already, and will see this one too
		}
		return
	}
	err := m.conn.SendControl(o.Slave, bus.Control{Do: o.Do, Token: o.Token})
	if err != nil {
		m.log.Warn().Err(err).Str("slave", o.Slave).Str("order", o.Do).Msg("order not passed on")
		return
	}
	m.log.Info().Str("slave", o.Slave).Str("order", o.Do).Msg("order passed on")
}

// tellRevocations puts out whoever was revoked. An external server learns of it
// from its operator (nats-config); the dispatcher refuses the slave all the same.
func (m *Master) tellRevocations() error {
	if m.nats == nil {
		return nil
	}
	authority, err := bus.LoadAuthority(m.Settings.natsDir())
	if err != nil {
		return err
	}
	return m.nats.Update(authority)
}

package main

import (
	"context"

	"pinwheel/internal/metrics"
)

// listenMetrics takes the address of the figures, if somebody wants any.
func (m *Master) listenMetrics(ctx context.Context) (err error) {
	if m.metrics == nil {
		return nil
	}
	if m.figures, err = m.metrics.Listen(ctx, m.Settings.Metrics); err == nil {
		m.closers = append(m.closers, func() { m.figures.Close() })
	}
	return err
}

// farm is what the figures are about.
func (m *Master) farm() metrics.Farm {
	return metrics.Farm{Store: m.Store, Wire: m.conn.Connected, Certs: m.certs, Log: m.log, Now: m.now}
}

// serveMetrics answers Prometheus.
func (m *Master) serveMetrics(ctx context.Context) error {
	if m.metrics == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return m.metrics.Serve(ctx, m.figures, m.farm())
}

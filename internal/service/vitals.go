package service

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Vitals knows which loops of a program are alive: each promises when it will be heard
// again, and one that is late is stuck. A Loop promises by itself if it runs below
// WithVitals. The nil Vitals hears nothing.
type Vitals struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// slack is how late a loop may be on a machine that is busy with builds.
const slack = time.Minute

// Promise says that the loop of that name will be heard again within a time. Zero takes
// the promise back: what begins now may last as long as it does.
func (v *Vitals) Promise(name string, within time.Duration) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if within <= 0 {
		delete(v.until, name)
		return
	}
	if v.until == nil {
		v.until = map[string]time.Time{}
	}
	v.until[name] = time.Now().Add(within + slack)
}

// Check names a loop that has not kept its promise.
func (v *Vitals) Check() error {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	for name, until := range v.until {
		if now.After(until) {
			return fmt.Errorf("%s has not been heard for %v longer than it should", name, now.Sub(until).Round(time.Second))
		}
	}
	return nil
}

type vitalsKey struct{}

type pathKey struct{}

// WithVitals has the loops below ctx promise to v.
func WithVitals(ctx context.Context, v *Vitals) context.Context {
	return context.WithValue(ctx, vitalsKey{}, v)
}

func vitalsOf(ctx context.Context) *Vitals {
	v, _ := ctx.Value(vitalsKey{}).(*Vitals)
	return v
}

// below names a part within another: "dispatch/sweep".
func below(ctx context.Context, name string) context.Context {
	if outer := pathOf(ctx); outer != "" {
		name = outer + "/" + name
	}
	return context.WithValue(ctx, pathKey{}, name)
}

func pathOf(ctx context.Context) string {
	path, _ := ctx.Value(pathKey{}).(string)
	return path
}

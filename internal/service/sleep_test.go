package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if !Sleep(t.Context(), time.Hour) || time.Since(begin) != time.Hour {
			t.Errorf("it slept %v of an hour", time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if begin = time.Now(); Sleep(ctx, time.Hour) || time.Since(begin) != time.Minute {
			t.Errorf("it slept %v, and its context ended after a minute", time.Since(begin))
		}
	})
}

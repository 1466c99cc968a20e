package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/farm"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

// How many wheels are asked for at once, and the pause after which they are asked for
// unasked: another master, or a program of before, may have brought them. To ask costs
// nothing when there are none.
const (
	copyBatch  = 50
	copyRescan = 5 * time.Second
)

// copiesKey is by which of several masters on one database one makes the copies.
const copiesKey = "copies"

// Copies makes the copies for armv6l until ctx ends: of each wheel for linux_armv7l that
// was published, by whatever program, it finds out whether the wheel is proven to run on
// an ARMv6, and keeps the copy, or why there is none. The rows without such a word are its
// worklist, so a master that is newer than its wheels makes their copies by itself.
//
// Of several masters on one database one does, since each would read and write all that
// the others do. The order is file, then rows. A crash in between leaves a file that no
// row names, and the same bytes are made of the same wheel again: two that overlap for
// seconds, while the database changes its mind about who it is, do no harm.
func (c *Collector) Copies(ctx context.Context) error {
	return c.cfg.Store.WhileLeader(ctx, copiesKey, func(ctx context.Context) error {
		wake(c.copies) // there may be wheels of before
		return service.Loop{Every: copyRescan, Wake: c.copies, Log: c.cfg.Log, Do: c.makeCopies}.Run(ctx)
	})
}

// makeCopies goes through the worklist once. What is wrong with one wheel's file does not
// keep the others waiting; it is on the list of the next round.
func (c *Collector) makeCopies(ctx context.Context) error {
	var errs []error
	for after := int64(0); ; {
		list, err := c.cfg.Store.Uncopied(ctx, after, copyBatch)
		if err != nil || len(list) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for _, u := range list {
			after = u.ID
			if err := c.settle(ctx, u); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil && len(errs) < copyBatch {
				errs = append(errs, fmt.Errorf("copy %s for armv6l: %w", u.Filename, err))
			}
		}
	}
}

// settle decides about one wheel.
func (c *Collector) settle(ctx context.Context, u store.Uncopied) error {
	file := farm.File{Name: u.Filename, SHA256: u.SHA256, Size: u.Size}
	target := store.TargetRow{Target: u.Target, Facts: farm.Facts{Glibc: u.Glibc}, VouchesARMv6: u.Vouches}
	want, err := expected(u.Package, u.Version, target)
	if err != nil {
		return err
	}
	report, err := c.verify(ctx, file, want)
	if err != nil {
		return err
	}
	switch {
	case report.SHA256 != u.SHA256:
		return fmt.Errorf("damaged in the depot: it has SHA-256 %s; `master audit --repair` looks for a good one", report.SHA256)
	case !report.Accepted:
		return c.noCopy(ctx, u, "it would not be accepted any more: "+firstError(report.Findings))
	case report.ARMv6 == nil || !report.ARMv6.Proven:
		return c.noCopy(ctx, u, reasonOf(report))
	}
	made, err := MakeCopy(ctx, c.cfg.Depot, file)
	if errors.Is(err, wheel.ErrNoCopy) {
		return c.noCopy(ctx, u, err.Error())
	}
	if err != nil {
		return err
	}
	crash.At(crash.CopyStored)
	added, err := c.cfg.Store.AddCopy(ctx, u.ID, made, wheel.CopyTags(report.Tags))
	if err != nil {
		return err
	}
	crash.At(crash.CopyCommitted)
	if added {
		c.cfg.Log.Info().Str("package", u.Package).Str("version", u.Version).Str("wheel", made.Name).
			Str("why", report.ARMv6.Reason).Msg("copied for armv6l")
	}
	return nil
}

func reasonOf(r wheel.Report) string {
	if r.ARMv6 == nil {
		return "its target is not linux_armv7l"
	}
	return r.ARMv6.Reason
}

func (c *Collector) noCopy(ctx context.Context, u store.Uncopied, why string) error {
	c.cfg.Log.Info().Str("package", u.Package).Str("version", u.Version).Str("wheel", u.Filename).
		Str("why", why).Msg("no copy for armv6l")
	return c.cfg.Store.NoCopy(ctx, u.ID, line(why))
}

// MakeCopy puts the copy for armv6l of a wheel into the depot: the same bytes every time.
// It is made twice: what the depot is to keep must be known before, and to hash it costs
// less than a file on the way. wheel.ErrNoCopy: the wheel is such that there is none.
func MakeCopy(ctx context.Context, depot Depot, file farm.File) (farm.File, error) {
	name, err := wheel.CopyName(file.Name)
	if err != nil {
		return farm.File{}, err
	}
	r, closer, err := depot.Reader(file.SHA256)
	if err != nil {
		return farm.File{}, err
	}
	defer closer.Close()
	h := &hashed{sum: sha256.New()}
	if err := wheel.Copy(ctx, h, r, file.Size, file.Name); err != nil {
		return farm.File{}, err
	}
	made := farm.File{Name: name, SHA256: hex.EncodeToString(h.sum.Sum(nil)), Size: h.n}
	if has, err := depot.Has(made.SHA256, made.Size); err != nil || has {
		return made, err
	}
	from, to := io.Pipe()
	var writing sync.WaitGroup
	writing.Go(func() { to.CloseWithError(wheel.Copy(ctx, to, r, file.Size, file.Name)) })
	err = depot.Put(ctx, from, made)
	from.Close() // whatever Put left unread
	writing.Wait()
	return made, err
}

// hashed counts and hashes what is written to it.
type hashed struct {
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (h *hashed) Write(p []byte) (int, error) {
	h.n += int64(len(p))
	return h.sum.Write(p)
}

// wake never blocks: a loop that is to be woken already will see this wheel too.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

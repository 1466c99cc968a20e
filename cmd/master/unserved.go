package main

import (
	"fmt"
	"strings"

	"pinwheel/internal/store"
)

// together puts what is unserved on several targets for the same reason into one, which
// has the number of all jobs; of each it gives the targets.
func together(list []store.Unserved) (groups []store.Unserved, targets [][]string) {
	same := func(a, b store.Unserved) bool {
		return (a.Slaves == 0) == (b.Slaves == 0) && a.Lack.Equal(b.Lack) && a.Needs.Equal(b.Needs)
	}
next:
	for _, u := range list {
		for i := range groups {
			if same(groups[i], u) {
				groups[i].Jobs += u.Jobs
				groups[i].Memory = max(groups[i].Memory, u.Memory)
				targets[i] = append(targets[i], u.Target)
				continue next
			}
		}
		groups, targets = append(groups, u), append(targets, []string{u.Target})
	}
	return groups, targets
}

// unserved says of all targets what no live slave takes.
func (t teller) unserved(list []store.Unserved) {
	if len(list) == 0 {
		return
	}
	t.line("")
	groups, targets := together(list)
	for i, u := range groups {
		heads, platform := shortened(targets[i])
		on := strings.Join(heads, ", ")
		if platform != "" {
			on += " of " + platform
		}
		t.folded(0, unservedWords(u, " on "+on))
	}
}

// unservedWords say what keeps a part of the queue from all slaves, and what helps; on
// are the targets, where that is to be said.
func unservedWords(u store.Unserved, on string) string {
	jobs := atMost(u.Jobs) + on
	if u.Slaves == 0 {
		return jobs + ": no live slave builds there; start one, or `master slaves resume` one that is paused"
	}
	var lack, help []string
	if u.Lack.Memory > 0 {
		lack = append(lack, gigabytes(u.Needs.Memory)+" of memory (the largest live slave has "+gigabytes(u.Memory)+")")
		help = append(help, "start a larger slave; `master why` tells who wants so much")
	}
	if len(u.Lack.Packages) > 0 {
		list := strings.Join(u.Lack.Packages, " ")
		lack = append(lack, list)
		help = append(help, "`apt install "+list+"` on a slave, which tells the farm by itself")
	}
	need := " need "
	if u.Jobs == 1 {
		need = " needs "
	}
	return jobs + need + strings.Join(lack, " and ") + ": " + strings.Join(help, "; ")
}

// atMost counts jobs of a queue that is not counted to its end.
func atMost(n int64) string {
	if n >= store.QueueCounted {
		return "more than " + counted(store.QueueCounted, "job", "jobs")
	}
	return counted(n, "job", "jobs")
}

func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/(1<<30)) }

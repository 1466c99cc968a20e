package ingest

import "sync"

// lanes keep the tasks of one name one after the other: a project that is announced
// again while it is read is read again, but only when what was read before is
// written. Else the older of two pages could be written last.
type lanes struct {
	mu   sync.Mutex
	busy map[string]bool  // a task of that name is under way
	next map[string]*task // and this one waits for its end
	free []*task          // those that wait no more
}

// enter says whether a task may begin; else it waits, and takes the place of one
// that waited for the same name.
func (l *lanes) enter(it *task) (mine, replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy[it.name()] {
		l.busy[it.name()] = true
		return true, false
	}
	replaced = l.next[it.name()] != nil
	l.next[it.name()] = it
	return false, replaced
}

// leave says that a task has come to its end.
func (l *lanes) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.next[name]
	if it == nil {
		delete(l.busy, name)
		return
	}
	delete(l.next, name) // the name stays busy, with this one
	l.free = append(l.free, it)
}

// takeFree takes the tasks that may begin after others.
func (l *lanes) takeFree() []*task {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.free
	l.free = nil
	return list
}

// Package web is the stage that answers HTTP: the index that pip reads, the logs
// of builds, a page for people, the state of the farm for machines.
//
// Input: requests from anybody. Output: files of the site as publish wrote them,
// files of the depot, and a few numbers from the database. It mounts the handler
// of uploads, which it is given, and knows nothing of it.
//
// It owns nothing and keeps nothing, so a crash loses nothing. It serves by name
// what may have a name only: no folder is listed, no file outside of the site is
// reachable, and what other programs are still writing is not visible. It never
// writes.
package web

// Package monitor is the dashboard of a farm on a terminal, and its one-shot forms for
// scripts. Input: snapshots, events and logs over the wire, or invented ones, and keys.
// Output: a screen, a line for each event where there is no screen, or JSON.
//
// It owns nothing but what it has seen since it began. It speaks to the bus only; what
// operators want is asked of the master, which decides. When the farm cannot be reached
// it shows what it saw last, and says how old that is. What slaves, packages and logs
// say never steers the terminal.
package monitor

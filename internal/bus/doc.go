// Package bus is the wire between the master and its slaves: NATS subjects, typed
// messages with a protocol number, and the identities that may speak. The server
// for farms that have none of their own is in natsserver.
//
// Input: messages of slaves and of the master's stages. Output: the same on the
// other side, decoded and held to strict limits; who sent a message is read off
// its subject, which the sender's credentials prove, never off its body.
//
// It owns the authority's one file of keys and nothing else. Nothing on the wire
// outlives a crash, and nothing has to: a request that gets no answer is made
// again, and every request may be made twice (design 4 and 5).
//
// It never stores or decides anything. With natsserver it is the only user of
// nats.go.
package bus

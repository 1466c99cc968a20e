// Package deploytest runs the programs as operators deploy them: from files of
// settings, against a NATS server and a Postgres of others, and on two hosts with
// a cable between them that somebody pulls.
//
// Input: both programs, built here. Output: test failures. The hosts are network
// namespaces; they need root, and end with the test's process, so that nothing of
// them is left however it ends. It has no code outside its tests, and nothing of
// it touches the host's own network.
package deploytest

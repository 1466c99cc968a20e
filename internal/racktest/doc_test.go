// Package racktest puts a farm on a rack of bare machines with the plays of ansible/, as an
// operator does, and works with it: it enrolls, upgrades and removes slaves, and has pip
// install what they built.
//
// Input: the plays, both programs, built here, and a bare Debian (scripts/hostroot). Output:
// test failures. The machines are namespaces of this one, each with a copy of that Debian in
// memory, an address and an sshd of its own; systemd is played by testdata/systemctl. They end
// with the test's process, so that nothing of them is left however it ends, and nothing of
// them touches this machine's own network.
package racktest

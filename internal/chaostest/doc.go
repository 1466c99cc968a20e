// Package chaostest runs a farm of processes while everything that it stands on
// breaks at random, and then holds the whole farm to account.
//
// Input: both programs, built here, an index that keeps releasing, and a seed from
// which all faults are drawn. Output: a log of the faults with their times, and
// test failures. The farm has two masters on one database, depot and site, four
// slaves, a NATS server and a Postgres: each a process that is killed, stopped and
// cut off from the others, and disks that fill up. Cables are connections through
// this process, disks are file systems in memory that only this process and its
// children see, so that nothing of the machine is touched and nothing is left,
// however the test ends. It has no code outside its tests.
package chaostest

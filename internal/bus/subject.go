package bus

import (
	"fmt"
	"strconv"
	"strings"

	"pinwheel/internal/farm"
)

// Everything of the farm stands under root; v1 is the meaning of the subjects,
// Protocol that of the messages.
const root = "farm.v1."

// The requests of a slave and the other ends of its subjects.
const (
	kindHello   = "hello"
	kindNext    = "next"
	kindBeat    = "beat"
	kindReport  = "report"
	kindControl = "control"
	kindLog     = "log"

	kindSnapshot = "snapshot" // of a monitor
)

// roleMaster is not in farm: nobody enrolls a master.
const roleMaster farm.Role = "master"

func slaveSubject(name, kind string) string { return root + "slave." + name + "." + kind }

func logSubject(name string, job int64) string {
	return slaveSubject(name, kindLog) + "." + strconv.FormatInt(job, 10)
}

func eventSubject(kind string) string { return root + "event." + kind }

// slaveOf reads the sender off a subject. The server let it through, so the
// sender's credentials are for this name.
func slaveOf(subject string) (string, error) {
	parts := strings.Split(subject, ".")
	if len(parts) < 5 || parts[2] != "slave" {
		return "", fmt.Errorf("subject %q is not of a slave", subject)
	}
	if err := farm.CheckSlaveName(parts[3]); err != nil {
		return "", err
	}
	return parts[3], nil
}

// inbox is the prefix under which alone an identity gets its answers. The
// underscore, which no name can hold, keeps a monitor or operator out of the
// inbox of the slave of the same name.
func inbox(role farm.Role, name string) string {
	if role == farm.RoleSlave {
		return "_INBOX." + name
	}
	return "_INBOX." + string(role) + "_" + name
}

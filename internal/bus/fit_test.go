package bus

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pinwheel/internal/farm"
)

// TestReportFits: whatever a build writes into its wheel, the master takes the report.
func TestReportFits(t *testing.T) {
	t.Parallel()
	m := Report{Token: "t", Job: 1, Outcome: farm.OutcomeFailed, Failure: farm.Failure{Cause: farm.Crashed}}
	for i := range MaxLibraries {
		m.Record.Libraries = append(m.Record.Libraries, farm.Library{SOName: strings.Repeat(`"`, 5000)})
		if i < MaxContacts {
			m.Record.Contacts = append(m.Record.Contacts, farm.Contact{Host: fmt.Sprint(i), Why: strings.Repeat(`\`, 5000), Times: 1})
		}
	}
	cut := cutReport(m)
	if err := cut.check(); err != nil {
		t.Error(err)
	}
	data, err := json.Marshal(cut)
	if err != nil || len(data) > exchangeReport().maxBytes {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if len(m.Record.Libraries) != MaxLibraries || len(m.Record.Libraries[0].SOName) != 5000 {
		t.Error("the record of the caller was changed")
	}
}

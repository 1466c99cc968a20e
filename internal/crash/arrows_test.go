package crash

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// arrow is a transaction of the store: the points that part it from what comes
// before or after it, or why a crash on both its sides is harmless without a test
// of its own.
type arrow struct {
	points []Point
	why    string
}

func at(points ...Point) arrow { return arrow{points: points} }

// arrows has a row for every exported function of the store that writes.
func arrows() map[string]arrow {
	asked := arrow{why: "one transaction, asked for by a person who sees the answer and may ask again"}
	return map[string]arrow{
		"Announce":   at(IngestAnnounced),
		"Agree":      at(IngestCommitted, IngestAgreed),
		"ListNames":  at(IngestListed),
		"WalkListed": at(IngestListed),

		"PlanProgress": at(IngestPlanned),

		"Claim":           at(DispatchLeased),
		"Heard":           at(DispatchGreeted),
		"FinishBuilt":     at(CollectVerified, CollectCommitted),
		"FinishFailed":    at(CollectFailed),
		"AddCopy":         at(CopyStored, CopyCommitted),
		"ForgetWithdrawn": at(PublishForgotten),
		"PagesWritten":    at(PublishDone, PublishRootDone),
		"RevokeSlave":     at(RevokeKey, RevokeRow),
		"EnrollSlave":     at(EnrollRow),

		"NoCopy": {why: "without the word the wheel is looked at again by the next round"},

		"AddTarget": asked, "VouchARMv6": asked, "RetireTarget": asked, "PauseSlave": asked, "ResumeSlave": asked, "QuitSlave": asked, "AbortSlave": asked,
		"Requeue": asked, "Undo": asked, "MarkStale": asked, "ChangeRecipes": asked,
		"Rediagnose": {why: "words of failures, in pieces; the same command writes the rest"}, "EndReclassification": {why: "a note that a run came to its end; without it the trail says how far it was"},
		"Remove":  {why: "one transaction, asked for by a person; that pages and files follow it stands in the same one"},
		"Want":    {why: "names are on the worklist or are not; the same command puts the rest on it"},
		"Migrate": {why: "each migration is one transaction with its number; the same command, or the next start, goes on"},

		"TakeReading": {why: "a name that is taken and not read is free at the next start"},
		"FreeReading": {why: "every start does it"},
		"PutOff":      {why: "a name that is not put off is read again sooner"},
		"Age":         {why: "what is not put on the worklist is found by the next look"},
		"Hasten":      {why: "what is not hastened is read when its pause is over"},
		"ReadAgain":   {why: "comes before the plan's place is kept: the next start plans those projects again"},
		"AskWalk":     {why: "one transaction, asked for by a person who sees the answer and may ask again"},
		"BeginWalk":   {why: "the walk has no list yet; the next start takes it"},
		"NoteWalk":    {why: "a note for people, before the walk is listed; the next try says the same"},
		"EndWalk":     {why: "the next look ends the walk"},
		"BeginPlan":   {why: "the next start resumes the plan"},
		"FinishPlan":  {why: "the next start finds that nothing is left to plan, and finishes it"},

		"Follows":       {why: "one transaction, before anything is read: it is done, or the next start does it"},
		"HeardUpstream": {why: "the next poll says it anew"},
		"NoChangelog":   {why: "the next start asks for the changelog, and says it anew"},
		"SetSerial":     {why: "comes before what says that the farm has begun, or that a walk is listed: both are done again"},
		"SetNamesETag":  {why: "without it the next list is read whole"},
		"Tally":         {why: "counts for people; the next look counts again"},
		"CountFaults":   {why: "counts for people; a crash loses the last minute's"},
		"Settle":        {why: "that the farm has begun to follow comes last, and is begun again else; the upstream is kept at every start"},
		"Secret":        {why: "made by whoever asks first, the same for all who ask later"},

		"Sweep":            {why: "one transaction; what has expired and was not taken back is by the next round"},
		"LookAfterWaiting": {why: "one transaction for each package that builds wait for; what was not looked after is by the next round"},
		"FillTargetFacts":  {why: "the next hello fills in what is missing"},
		"MarkAllStale":     {why: "the next start finds the site empty again; a person who asked for it asks again"},
		"MarkRootStale":    {why: "comes before the pages that the index lacks; they are stale themselves, so that the next start does it again"},
	}
}

// TestEveryWriteIsAnArrow: a function of the store that begins to write has a row,
// and with it a point that internal/crashtest kills a program at, or a reason.
func TestEveryWriteIsAnArrow(t *testing.T) {
	t.Parallel()
	rows := arrows()
	all := All()
	for _, name := range writers(t) {
		row, ok := rows[name]
		if !ok {
			t.Errorf("store.%s writes, and is no arrow yet: what does a crash before and after it leave?", name)
		}
		if ok && (len(row.points) == 0) == (row.why == "") {
			t.Errorf("store.%s: want either points or a reason", name)
		}
		for _, p := range row.points {
			if !slices.Contains(all, p) {
				t.Errorf("store.%s: there is no point %s", name, p)
			}
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("store.%s does not write, or is not there", name)
	}
}

// TestPointsStandByTheirArrows: a point parts a write from the next step only in
// the file that calls it.
func TestPointsStandByTheirArrows(t *testing.T) {
	t.Parallel()
	constants := map[Point]string{}
	for _, c := range declared(t) {
		constants[c.point] = c.name
	}
	sources := programs(t)
	for name, row := range arrows() {
		call := regexp.MustCompile(`\b[sS](tore|t)\.` + name + `\(`)
		for _, p := range row.points {
			passed := regexp.MustCompile(`\b[aA]t\(crash\.` + constants[p] + `\b`)
			found := slices.ContainsFunc(sources, func(s string) bool { return call.MatchString(s) && passed.MatchString(s) })
			if !found {
				t.Errorf("no file calls store.%s and passes the point %s", name, p)
			}
		}
	}
}

// arrowsTable are the arrows without a point, by their reasons.
func arrowsTable() string {
	by := map[string][]string{}
	for name, row := range arrows() {
		if row.why != "" {
			by[row.why] = append(by[row.why], "`store."+name+"`")
		}
	}
	var lines []string
	for why, names := range by {
		slices.Sort(names)
		lines = append(lines, fmt.Sprintf("| %s | %s |\n", strings.Join(names, " "), why))
	}
	slices.Sort(lines)
	return "| the write | why a crash before or after it is harmless |\n|---|---|\n" + strings.Join(lines, "")
}

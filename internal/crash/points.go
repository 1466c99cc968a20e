package crash

// The points, in the order of the flow. Each comment says, in its first
// sentence, what a crash there leaves, and after it who mends that; the table in
// docs/states.md is made of these sentences.
const (
	// IngestFetched: nothing, the upstream's answer was only in memory. Whoever asked for the package asks again.
	IngestFetched Point = "ingest-fetched"
	// IngestCommitted: the jobs are queued, and nobody was told so. Dispatch hears of the commit itself; asking again changes nothing.
	IngestCommitted Point = "ingest-committed"
	// IngestAnnounced: the projects that the upstream named are on the worklist, and the serial has passed them. The next start reads what is on the list.
	IngestAnnounced Point = "ingest-announced"
	// IngestAgreed: the rows agree with the upstream and the project is off the worklist, and nobody was told so. Dispatch hears of the commit itself.
	IngestAgreed Point = "ingest-agreed"
	// IngestListed: the names of a walk are on the worklist, and the walk does not say so. The next start takes the list again, and puts nothing on the worklist twice.
	IngestListed Point = "ingest-listed"
	// IngestPlanned: some jobs are planned by new targets, slaves or policy, the others by the old ones, and the place is kept. The next start goes on behind it, or from the beginning if they changed again.
	IngestPlanned Point = "ingest-planned"

	// DispatchGreeted: what the slave does not hold is freed, and it has no answer. It says hello again.
	DispatchGreeted Point = "dispatch-greeted"
	// DispatchLeased: the job is leased, and its slave does not know. The slave repeats its request and gets the same lease.
	DispatchLeased Point = "dispatch-leased"

	// AgentLeased: a lease that nobody works on. The slave's next hello does not name it, so it is freed at once.
	AgentLeased Point = "agent-leased"
	// AgentBuilt: the wheel lies in the build's folder, which is no safe place. The next start empties that folder, and its hello frees the lease.
	AgentBuilt Point = "agent-built"
	// AgentSpooling: the files are in the spool, without report.json. The next start removes them, and its hello frees the lease.
	AgentSpooling Point = "agent-spooling"
	// AgentSpooled: a whole result in the spool. The next start reports it.
	AgentSpooled Point = "agent-spooled"
	// AgentUploaded: the master has the files and no second report. The next start reports, and is asked for nothing.
	AgentUploaded Point = "agent-uploaded"
	// AgentAccepted: the master has everything, and the spool too. The next start reports once more and hears "reported before".
	AgentAccepted Point = "agent-accepted"
	// AgentForgetting: files in the spool, their report.json removed. The next start removes the rest.
	AgentForgetting Point = "agent-forgetting"

	// CollectNeeded: nothing, the slave waits for an answer. It reports again.
	CollectNeeded Point = "collect-needed"
	// DepotStaged: a whole file in the depot's tmp/, without a name. The slave reports again and is asked for it again; the depot removes the old one after a day.
	DepotStaged Point = "depot-staged"
	// CollectStored: a file in the depot that no row names, and its sender does not know that it arrived. The slave reports again and is not asked for it.
	CollectStored Point = "collect-stored"
	// CollectVerified: a wheel that was believed, and no row says so. The slave reports again, and it is verified again.
	CollectVerified Point = "collect-verified"
	// CollectCommitted: the rows of the wheel stand, its page is marked stale, and the slave does not know. Publish writes the page; the slave reports again and hears "reported before".
	CollectCommitted Point = "collect-committed"
	// CollectFailed: the job has failed in the rows, and the slave does not know. It reports again and hears "reported before".
	CollectFailed Point = "collect-failed"

	// CopyStored: the copy of a wheel for armv6l in the depot, that no row names. The wheel is still without a word about its copy, and the next start makes the same bytes again.
	CopyStored Point = "copy-stored"
	// CopyCommitted: the rows of the copy stand, and the page that is to name it is marked stale. Publish writes the page.
	CopyCommitted Point = "copy-committed"

	// PublishFolder: an empty folder in the site. Publish: the page is still stale.
	PublishFolder Point = "publish-folder"
	// PublishWheel: a wheel in the site that no page names. Publish: the page is still stale.
	PublishWheel Point = "publish-wheel"
	// PublishFiles: all files in the site, and no page names the new ones. Publish: the page is still stale.
	PublishFiles Point = "publish-files"
	// PublishHTML: the page is new as HTML, old as JSON and in its compressed copies; all name only what is there. Publish: the page is still stale.
	PublishHTML Point = "publish-html"
	// PublishHTMLCopy: the page is new as HTML, with its compressed copy, and old as JSON; both name only what is there. Publish: the page is still stale.
	PublishHTMLCopy Point = "publish-html-copy"
	// PublishJSON: the page is new in both forms, and JSON's compressed copy is old. Publish: the page is still stale.
	PublishJSON Point = "publish-json"
	// PublishPages: the page is new, files that no row names are still there. Publish: the page is still stale.
	PublishPages Point = "publish-pages"
	// PublishForgotten: the page is new and the rows of withdrawn wheels are gone; their files are still there. Publish removes those of the site, for the page is still stale; an audit takes those of the depot.
	PublishForgotten Point = "publish-forgotten"
	// DepotAside: files that no row named are aside in the depot's tmp/, and nobody has looked again whether a row came meanwhile. An audit that mends takes back what a row names, within a day.
	DepotAside Point = "depot-aside"
	// PublishDiscarded: the depot has the files of withdrawn wheels no longer, and the site still has them, named by no page. Publish: the page is still stale.
	PublishDiscarded Point = "publish-discarded"
	// PublishCleaned: all of the project is right, but its row says stale. Publish writes it once more, which changes nothing.
	PublishCleaned Point = "publish-cleaned"
	// PublishDone: the project's page is right, the root index may not name it. Publish: the root index is still stale.
	PublishDone Point = "publish-done"
	// PublishRootHTML: the root index is new as HTML, old as JSON and in its compressed copies. Publish: the root index is still stale.
	PublishRootHTML Point = "publish-root-html"
	// PublishRootHTMLCopy: the root index is new as HTML, with its compressed copy, and old as JSON. Publish: the root index is still stale.
	PublishRootHTMLCopy Point = "publish-root-html-copy"
	// PublishRootJSON: the root index is new in both forms, and JSON's compressed copy is old. Publish: the root index is still stale.
	PublishRootJSON Point = "publish-root-json"
	// PublishRootPages: the root index is right, but its row says stale. Publish writes it once more, which changes nothing.
	PublishRootPages Point = "publish-root-pages"
	// PublishRootDone: nothing, the round is over. Nobody needs to.
	PublishRootDone Point = "publish-root-done"
	// PublishWithdrawn: a folder of files without a page, of a project that has no wheels any more; the root index does not name it. Publish: the page is still stale.
	PublishWithdrawn Point = "publish-withdrawn"

	// RevokeKey: the slave's key is dead in the farm's file, and its row says nothing of it. The server reads the keys at the next start at the latest; whoever revoked it does so again.
	RevokeKey Point = "revoke-key"
	// RevokeRow: all of it is done, and whoever revoked does not know. They do so again, which changes nothing.
	RevokeRow Point = "revoke-row"
	// EnrollRow: the name is taken, and nobody has its credentials. Whoever enrolled revokes the name and enrolls it again.
	EnrollRow Point = "enroll-row"

	// AuditRestored: the depot has its files again, and the pages are as wrong as before. The next audit that mends finds the rest.
	AuditRestored Point = "audit-restored"
	// AuditRewritten: files and pages are right, and what no row names is still in the depot. The next audit that mends takes it out.
	AuditRewritten Point = "audit-rewritten"
)

// All returns the points in the order of the flow.
func All() []Point {
	return []Point{
		IngestFetched, IngestCommitted, IngestAnnounced, IngestAgreed, IngestListed, IngestPlanned,
		DispatchGreeted, DispatchLeased,
		AgentLeased, AgentBuilt, AgentSpooling, AgentSpooled, AgentUploaded, AgentAccepted, AgentForgetting,
		CollectNeeded, DepotStaged, CollectStored, CollectVerified, CollectCommitted, CollectFailed,
		CopyStored, CopyCommitted,
		PublishFolder, PublishWheel, PublishFiles,
		PublishHTML, PublishHTMLCopy, PublishJSON, PublishPages, PublishForgotten, DepotAside, PublishDiscarded, PublishCleaned, PublishDone,
		PublishRootHTML, PublishRootHTMLCopy, PublishRootJSON, PublishRootPages, PublishRootDone, PublishWithdrawn,
		RevokeKey, RevokeRow, EnrollRow, AuditRestored, AuditRewritten,
	}
}

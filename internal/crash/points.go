package crash

// The points, in the order of the flow. Each comment says, in its first
// sentence, what a crash there leaves, and after it who mends that; the table in
// docs/states.md is made of these sentences.
const (
	// IngestFetched: nothing, the upstream's answer was only in memory. Whoever asked for the package asks again.
	IngestFetched Point = "ingest-fetched"
	// IngestCommitted: the jobs are queued, and nobody was told so. Dispatch hears of the commit itself; asking again changes nothing.
	IngestCommitted Point = "ingest-committed"

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

	// PublishFolder: an empty folder in the site. Publish: the page is still stale.
	PublishFolder Point = "publish-folder"
	// PublishWheel: a wheel in the site that no page names. Publish: the page is still stale.
	PublishWheel Point = "publish-wheel"
	// PublishFiles: all files in the site, and no page names the new ones. Publish: the page is still stale.
	PublishFiles Point = "publish-files"
	// PublishHTML: the page is new as HTML, old as JSON and in its compressed copies; all name only what is there. Publish: the page is still stale.
	PublishHTML Point = "publish-html"
	// PublishPages: the page is new, files that no row names are still there. Publish: the page is still stale.
	PublishPages Point = "publish-pages"
	// PublishCleaned: all of the project is right, but its row says stale. Publish writes it once more, which changes nothing.
	PublishCleaned Point = "publish-cleaned"
	// PublishDone: the project's page is right, the root index may not name it. Publish: the root index is still stale.
	PublishDone Point = "publish-done"
	// PublishRootHTML: the root index is new as HTML, old as JSON and in its compressed copies. Publish: the root index is still stale.
	PublishRootHTML Point = "publish-root-html"
	// PublishRootPages: the root index is right, but its row says stale. Publish writes it once more, which changes nothing.
	PublishRootPages Point = "publish-root-pages"
	// PublishRootDone: nothing, the round is over. Nobody needs to.
	PublishRootDone Point = "publish-root-done"
	// PublishWithdrawn: a folder of files without a page, of a project that has no wheels any more; the root index does not name it. Publish: the page is still stale.
	PublishWithdrawn Point = "publish-withdrawn"
)

// All returns the points in the order of the flow.
func All() []Point {
	return []Point{
		IngestFetched, IngestCommitted,
		DispatchGreeted, DispatchLeased,
		AgentLeased, AgentBuilt, AgentSpooling, AgentSpooled, AgentUploaded, AgentAccepted, AgentForgetting,
		CollectNeeded, DepotStaged, CollectStored, CollectVerified, CollectCommitted, CollectFailed,
		PublishFolder, PublishWheel, PublishFiles, PublishHTML, PublishPages, PublishCleaned, PublishDone,
		PublishRootHTML, PublishRootPages, PublishRootDone, PublishWithdrawn,
	}
}

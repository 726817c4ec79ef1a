// Package replicas keeps as many pods running as an object says: it is what
// ReplicaSets and ReplicationControllers have in common. The plan is written
// in terms of a ReplicaSet; a Kind says how another object looks as one.
//
// It writes pods (creation, deletion, adoption and release by owner
// reference) and the status of its objects; nobody else writes that status.
// A run acts only once its informer shows what the last run wrote, so that it
// never creates or deletes twice.
package replicas

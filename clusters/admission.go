package clusters

// Admission says what an ordinary account, that of the cast member thief, may
// submit to the platform. The zero value is nothing at all, and then nothing
// that is submitted need be looked at either.
type Admission struct {
	// Pipeline lets it make and delete pods of its own namespace, as what rolls
	// out an application can. What it makes is held to the policies of package
	// admission.
	Pipeline  bool `json:"pipeline,omitempty"`
	AuditOnly bool `json:"auditOnly,omitempty"` // what is against the policies is written down and let in
	Debug     bool `json:"debug,omitempty"`     // it may also run commands in pods of its namespace, and put containers into them
	FailOpen  bool `json:"failOpen,omitempty"`  // a pod that asks for a proxy is let in without one while the injector is away
	Injector  bool `json:"injector,omitempty"`  // it may also change webhooks, and the labels by which namespaces are chosen for them
}

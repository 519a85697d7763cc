package ldap

import "regexp"

// replicaState gives the marks of a 389 Directory Server, from the update vector of the
// replica (nsds50ruv). The search is the one its own tools make: the plugin for
// replication answers it with the entry of the replica's settings, as they are in memory,
// to whom the directory lets read that (an aci on cn=mapping tree,cn=config).
func (r *reading) replicaState() ([]string, error) {
	context := r.contextOf(r.base)
	if context == "" {
		return nil, nil
	}
	filter := combine(filterAnd, compare(filterEqual, nsUniqueID, "ffffffff-ffffffff-ffffffff-ffffffff"), compare(filterEqual, "objectClass", "nsTombstone"))
	_, values, err := r.stateIn(query{base: context, scope: scopeSub, filter: filter, sizeLimit: 1}, "", "nsds50ruv")
	return replicaMarks(values), err
}

// csnDigits is how long a change sequence number of 389 Directory Server is: seconds,
// sequence, replica and subsequence, in hexadecimal.
const csnDigits = 20

var (
	generationPattern = regexp.MustCompile(`^\{replicageneration\} ([0-9a-f]{20})$`)
	replicaPattern    = regexp.MustCompile(`^\{replica ([0-9]+)(?: [^}]*)?\} [0-9a-f]{20} ([0-9a-f]{20})(?: |$)`)
)

// replicaMarks gives the last change of each replica. Those of another generation, a
// directory that was filled anew, are other changes.
//
//	{replicageneration} 6b050ab7000000010000
//	{replica 1 ldap://a.example.org:389} 6b050ad5000000010000 6b050ad6000000010000
func replicaMarks(values []string) []string {
	generation := ""
	for _, v := range values {
		if m := generationPattern.FindStringSubmatch(v); m != nil {
			generation = m[1]
		}
	}
	var out []string
	for _, v := range values {
		if m := replicaPattern.FindStringSubmatch(v); m != nil && generation != "" {
			out = append(out, generation+"/"+m[1]+" "+m[2])
		}
	}
	return out
}

//! Rules about the tags of datastores, read from constraints, and what fits them. Pure.

use vim::{Fault, Object, Value, field};

use super::TAGS;
use api::invalid_argument;

/// Alternatives of a policy.
const MAX_ALTERNATIVES: usize = 64;
/// Rules of an alternative, and values of a rule.
const MAX_RULES: usize = 64;
const MAX_VALUES: usize = 256;

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The datastore has one of these tags of the category; or, negated, none of them.
    Tagged { category: String, tags: Vec<String>, negated: bool },
    /// A capability of storage that no datastore here has.
    Unmet { namespace: String, id: String },
}

impl Rule {
    fn is_met(&self, tags: &[(String, String)]) -> bool {
        match self {
            Self::Unmet { .. } => false,
            Self::Tagged { category, tags: wanted, negated } => {
                let has = tags.iter().any(|(of, tag)| of == category && wanted.contains(tag));
                has != *negated
            }
        }
    }
}

/// The demands of a policy on a datastore: all rules of one of its alternatives. Without an alternative it asks nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) alternatives: Vec<Vec<Rule>>,
}

impl Policy {
    /// Whether a datastore with these tags (category, tag) fits.
    ///
    /// # Errors
    /// The rules that it breaks, in the alternative where these are fewest.
    pub(super) fn admits(&self, tags: &[(String, String)]) -> Result<(), Vec<Rule>> {
        let broken = self
            .alternatives
            .iter()
            .map(|rules| rules.iter().filter(|rule| !rule.is_met(tags)).cloned().collect::<Vec<_>>());
        match broken.min_by_key(Vec::len) {
            Some(broken) if !broken.is_empty() => Err(broken),
            _ => Ok(()),
        }
    }

    /// Reads the constraints of a policy.
    ///
    /// # Errors
    /// `InvalidArgument` that names the field.
    pub(super) fn read(place: &str, constraints: &Object) -> Result<Self, Fault> {
        let wrong = |text: &str| invalid_argument(place, text);
        let Some(profiles) = constraints.get(field!(PbmCapabilitySubProfileConstraints.subProfiles)) else {
            return Ok(Self { alternatives: Vec::new() });
        };
        if profiles.len() > MAX_ALTERNATIVES {
            return Err(wrong(&format!("A policy has at most {MAX_ALTERNATIVES} sub-profiles")));
        }
        let mut alternatives = Vec::new();
        for profile in profiles.iter() {
            let mut rules = Vec::new();
            for capability in profile.get(field!(PbmCapabilitySubProfile.capability)).into_iter().flatten() {
                rules.extend(capability_rules(place, capability)?);
            }
            if rules.len() > MAX_RULES {
                return Err(wrong(&format!("A sub-profile has at most {MAX_RULES} rules")));
            }
            alternatives.push(rules);
        }
        Ok(Self { alternatives })
    }
}

/// The rules of a capability. Values of one constraint must all hold; tags are a set, of which one suffices.
fn capability_rules(place: &str, capability: &Object) -> Result<Vec<Rule>, Fault> {
    let wrong = |text: &str| invalid_argument(place, text);
    let id =
        capability.get(field!(PbmCapabilityInstance.id)).ok_or_else(|| wrong("A capability has no id"))?;
    let text = |field: Option<&str>| field.unwrap_or_default().to_owned();
    let namespace = text(id.get(field!(PbmCapabilityMetadataUniqueId.namespace)));
    let id = text(id.get(field!(PbmCapabilityMetadataUniqueId.id)));
    if namespace != TAGS {
        return Ok(vec![Rule::Unmet { namespace, id }]);
    }
    let constraints = capability.get(field!(PbmCapabilityInstance.constraint));
    let properties = constraints.into_iter().flatten().flat_map(|constraint| {
        constraint.get(field!(PbmCapabilityConstraintInstance.propertyInstance)).into_iter().flatten()
    });
    let mut rules = Vec::new();
    for property in properties {
        let negated = match property.get(field!(PbmCapabilityPropertyInstance.operator)) {
            None | Some("") => false,
            Some("NOT") => true,
            Some(other) => {
                return Err(wrong(&format!("The operator {other:?} is not known; there is only NOT")));
            }
        };
        let value = property.get(field!(PbmCapabilityPropertyInstance.value));
        let tags = value
            .and_then(tags)
            .ok_or_else(|| wrong("The value of a rule must be a set of names of tags"))?;
        if tags.is_empty() || tags.len() > MAX_VALUES {
            return Err(wrong(&format!("A rule names between 1 and {MAX_VALUES} tags")));
        }
        rules.push(Rule::Tagged { category: id.clone(), tags, negated });
    }
    if rules.is_empty() { Err(wrong("A capability has no constraint")) } else { Ok(rules) }
}

/// The names in a `PbmCapabilityDiscreteSet`, or the one name.
fn tags(value: &Value) -> Option<Vec<String>> {
    if let Some(name) = value.as_str() {
        return Some(vec![name.to_owned()]);
    }
    let set = value.as_object().filter(|object| object.is_a(vim::data_id!(PbmCapabilityDiscreteSet)))?;
    let values = set.get(field!(PbmCapabilityDiscreteSet.values))?;
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;

    fn rule(category: &str, tags: &[&str], negated: bool) -> Rule {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Rule::Tagged { category: category.to_owned(), tags, negated }
    }

    fn on(tags: &[(&str, &str)]) -> Vec<(String, String)> {
        tags.iter().map(|(category, tag)| ((*category).to_owned(), (*tag).to_owned())).collect()
    }

    #[test]
    fn a_datastore_fits_if_it_meets_all_rules_of_one_alternative() {
        let gold = rule("tier", &["gold", "silver"], false);
        let near = rule("site", &["far"], true);
        let policy =
            Policy { alternatives: vec![vec![gold.clone(), near.clone()], vec![rule("any", &["x"], false)]] };
        assert_eq!(policy.admits(&on(&[("tier", "silver")])), Ok(()));
        assert_eq!(policy.admits(&on(&[("any", "x"), ("site", "far")])), Ok(()));
        assert_eq!(policy.admits(&on(&[("tier", "gold"), ("site", "far")])), Err(vec![near]));
        // A tag of that name in another category does not count.
        assert!(policy.admits(&on(&[("class", "gold")])).is_err());
        assert_eq!(Policy { alternatives: vec![] }.admits(&[]), Ok(()));
        let storage = Rule::Unmet { namespace: "VSAN".into(), id: "stripeWidth".into() };
        assert_eq!(Policy { alternatives: vec![vec![storage.clone()]] }.admits(&[]), Err(vec![storage]));
    }

    #[test]
    fn constraints_are_read_and_what_no_rule_can_mean_is_refused() {
        let constraints = |operator: Option<&str>, value: Value| {
            vim!(PbmCapabilitySubProfileConstraints {
                subProfiles: vec![vim!(PbmCapabilitySubProfile {
                    name: "one",
                    capability: vec![vim!(PbmCapabilityInstance {
                        id: PbmCapabilityMetadataUniqueId { namespace: TAGS, id: "tier" },
                        constraint: vec![vim!(PbmCapabilityConstraintInstance {
                            propertyInstance: vec![vim!(PbmCapabilityPropertyInstance {
                                id: "com.vmware.storage.tag.tier.property",
                                operator: operator,
                                value: value,
                            })],
                        })],
                    })],
                })],
            })
        };
        let set = |names: Vec<Value>| Value::from(vim!(PbmCapabilityDiscreteSet { values: names }));
        let read = |operator, value| Policy::read("spec", &constraints(operator, value));
        let gold = read(None, set(vec!["gold".into(), "silver".into()])).unwrap();
        assert_eq!(gold.alternatives, vec![vec![rule("tier", &["gold", "silver"], false)]]);
        let not = read(Some("NOT"), "gold".into()).unwrap();
        assert_eq!(not.alternatives, vec![vec![rule("tier", &["gold"], true)]]);
        assert!(read(Some("MAYBE"), "gold".into()).is_err());
        assert!(read(None, 7_i32.into()).is_err());
        assert!(read(None, set(vec![7_i32.into()])).is_err());
    }
}

//! Search filters (RFC 4515). Names of others enter them only through [`ldap3::ldap_escape`].

use ldap3::ldap_escape;

use crate::source::{Schema, Source};

impl Schema {
    /// The attribute with the name by which a user logs in.
    pub(crate) fn user_name(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "sAMAccountName",
            Self::OpenLdap => "uid",
        }
    }

    /// The attribute with the name of a group.
    pub(crate) fn group_name(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "sAMAccountName",
            Self::OpenLdap => "cn",
        }
    }

    fn users(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "(objectCategory=person)(objectClass=user)",
            Self::OpenLdap => "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))",
        }
    }

    fn groups(self) -> &'static str {
        match self {
            Self::ActiveDirectory => "(objectClass=group)",
            Self::OpenLdap => {
                "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
            }
        }
    }
}

/// The user with this name.
pub(crate) fn user(source: &Source, name: &str) -> String {
    let (schema, name) = (source.schema, ldap_escape(name));
    match schema {
        Schema::OpenLdap => format!("(&{}({}={name}))", schema.users(), schema.user_name()),
        Schema::ActiveDirectory => {
            let domain = ldap_escape(source.domain.as_str());
            format!("(&{}(|(sAMAccountName={name})(userPrincipalName={name}@{domain})))", schema.users())
        }
    }
}

/// The group with this name.
pub(crate) fn group(schema: Schema, name: &str) -> String {
    format!("(&{}({}={}))", schema.groups(), schema.group_name(), ldap_escape(name))
}

/// The groups to which the owner of this distinguished name belongs; in Active Directory through other groups as well. A POSIX group
/// lists its users by `user`, their plain names.
pub(crate) fn groups_of(schema: Schema, dn: &str, user: Option<&str>) -> String {
    let dn = ldap_escape(dn);
    match schema {
        Schema::ActiveDirectory => format!("(&{}(member:1.2.840.113556.1.4.1941:={dn}))", schema.groups()),
        Schema::OpenLdap => {
            let posix = user.map(|user| format!("(memberUid={})", ldap_escape(user))).unwrap_or_default();
            format!("(&{}(|(member={dn})(uniqueMember={dn}){posix}))", schema.groups())
        }
    }
}

/// Users whose names contain a text, or begin with it where the server has no index for more; all users for an empty text.
pub(crate) fn users_like(schema: Schema, text: &str) -> String {
    like(schema.users(), &[schema.user_name(), "cn"], text)
}

/// Groups whose names contain a text.
pub(crate) fn groups_like(schema: Schema, text: &str) -> String {
    like(schema.groups(), &[schema.group_name()], text)
}

fn like(class: &str, attributes: &[&str], text: &str) -> String {
    if text.is_empty() {
        return format!("(&{class})");
    }
    let text = ldap_escape(text);
    let each: String = attributes.iter().map(|attribute| format!("({attribute}=*{text}*)")).collect();
    format!("(&{class}(|{each}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_filter() {
        let filter = group(Schema::OpenLdap, "x)(|(cn=*");
        assert!(filter.ends_with(r"(cn=x\29\28|\28cn=\2a))"), "{filter}");
        let filter = users_like(Schema::OpenLdap, "*");
        assert!(filter.contains(r"(uid=*\2a*)"), "{filter}");
        assert!(groups_of(Schema::OpenLdap, "cn=a\0b", None).contains(r"cn=a\00b"));
    }
}

//! A machine configuration to build into an image.

use super::{Error, Quirk, Result, TalosVersion};
use crate::nearest::nearest;
use serde::{Deserialize, Serialize};
use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What every kind of document says it is of, as far as there are versions.
const API_VERSION: &str = "v1alpha1";

/// A document with one of these keys needs no kind: it is the oldest, of which there is one.
const OLD_KEYS: &[&str] = &["machine", "cluster", "debug", "persist"];

/// The kinds of documents Talos reads, of its 1.15 line.
const KINDS: &[&str] = &[
    "BGPInstanceConfig",
    "BlackholeRouteConfig",
    "BondConfig",
    "BridgeConfig",
    "CRIBaseRuntimeSpecConfig",
    "CRICustomizationConfig",
    "ContainerConfig",
    "DHCPv4Config",
    "DHCPv6Config",
    "DiscoveryIdentityConfig",
    "DiscoveryServiceConfig",
    "DummyLinkConfig",
    "EnvironmentConfig",
    "EtcFileConfig",
    "EthernetConfig",
    "EventSinkConfig",
    "ExistingVolumeConfig",
    "ExtensionServiceConfig",
    "ExternalVolumeConfig",
    "FilesystemScrubConfig",
    "FilesystemTrimConfig",
    "HCloudVIPConfig",
    "HTTPProbeConfig",
    "HostnameConfig",
    "ImageCacheConfig",
    "ImageVerificationConfig",
    "KernelModuleConfig",
    "KmsgLogConfig",
    "KubeAPIServerCAConfig",
    "KubeAPIServerConfig",
    "KubeAdmissionControlConfig",
    "KubeAggregatorCAConfig",
    "KubeAuditPolicyConfig",
    "KubeAuthenticationConfig",
    "KubeAuthorizerConfig",
    "KubeClusterConfig",
    "KubeControllerManagerConfig",
    "KubeCoreDNSConfig",
    "KubeCredentialProviderConfig",
    "KubeEtcdEncryptionConfig",
    "KubeExternalManifestConfig",
    "KubeFlannelCNIConfig",
    "KubeInlineManifestConfig",
    "KubeNetworkConfig",
    "KubeNodeConfig",
    "KubePrismConfig",
    "KubeProxyConfig",
    "KubeSchedulerConfig",
    "KubeServiceAccountConfig",
    "KubeSpanConfig",
    "KubeSpanEndpointsConfig",
    "KubeStaticPodConfig",
    "KubeTalosAPIAccessConfig",
    "KubeletConfig",
    "LVMLogicalVolumeConfig",
    "LVMVolumeGroupConfig",
    "Layer2VIPConfig",
    "LinkAliasConfig",
    "LinkConfig",
    "NetworkDefaultActionConfig",
    "NetworkRuleConfig",
    "OOMConfig",
    "PCIDriverRebindConfig",
    "RAIDArrayConfig",
    "RawVolumeConfig",
    "RegistryAuthConfig",
    "RegistryMirrorConfig",
    "RegistryTLSConfig",
    "ResolverConfig",
    "RoutingRuleConfig",
    "SecurityProfileConfig",
    "SideroLinkConfig",
    "StaticHostConfig",
    "SwapVolumeConfig",
    "SysctlConfig",
    "SysfsConfig",
    "TCPProbeConfig",
    "TimeSyncConfig",
    "TrustedRootsConfig",
    "UdevRulesConfig",
    "UnattendedInstallConfig",
    "UserVolumeConfig",
    "VLANConfig",
    "VRFConfig",
    "VethConfig",
    "VolumeConfig",
    "WatchdogTimerConfig",
    "WireguardConfig",
    "ZswapConfig",
];

/// The YAML text of a machine configuration. It holds secrets, keys and tokens, so it shows its
/// length only where it is printed for debugging; a profile prints it whole.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineConfig(String);

impl MachineConfig {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses what a machine would find out when it boots: text that is no YAML, and documents
    /// that Talos cannot tell the meaning of. What the documents say is not looked at. Returns
    /// what is no error but worth a look.
    ///
    /// No message has a piece of the text in it, since any piece may be a secret.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if `version` does not look for a configuration in its image;
    /// [`Error::Input`] with line and column for all else.
    pub fn check(&self, version: &TalosVersion) -> Result<Vec<String>> {
        if !version.has(Quirk::EmbeddedConfig) {
            return Err(Error::unsupported(format!(
                "Talos {version} does not look for a machine configuration in its image, only \
                 v1.12.0 and later do: leave it out"
            )));
        }
        let mut warnings = Vec::new();
        let mut known = BTreeMap::new();
        for document in documents(&self.0)? {
            let at = document.at;
            warnings.extend(document.check()?.map(|warning| at.message(&warning)));
            let identity = (document.api_version, document.kind, document.name);
            if let Some(first) = known.insert(identity, at) {
                let what = format!(
                    "has the kind and the name of document {} at line {}: leave one out",
                    first.number, first.line
                );
                return Err(at.error(&what));
            }
        }
        if known.is_empty() {
            let what = if self.0.trim().is_empty() { "is empty" } else { "has no document" };
            return Err(Error::input(format!("the machine configuration {what}: leave it out")));
        }
        Ok(warnings)
    }
}

impl From<String> for MachineConfig {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineConfig({} bytes)", self.0.len())
    }
}

/// A place in the text: the document by its number, the line and the column, all from 1.
#[derive(Clone, Copy)]
struct Place {
    number: usize,
    line: usize,
    column: usize,
}

impl Place {
    fn new(number: usize, mark: &Marker) -> Self {
        Self { number, line: mark.line(), column: mark.col() + 1 }
    }

    fn message(self, what: &str) -> String {
        let Self { number, line, column } = self;
        format!("machine configuration: line {line} column {column}: document {number} {what}")
    }

    fn error(self, what: &str) -> Error {
        Error::input(self.message(what))
    }
}

/// What tells the meaning of a document: keys of its outermost mapping.
struct Document {
    at: Place,
    kind: Option<String>,
    api_version: Option<String>,
    name: Option<String>,
    /// Has a key of the configuration as it was before there were kinds.
    old: bool,
}

impl Document {
    fn new(at: Place) -> Self {
        Self { at, kind: None, api_version: None, name: None, old: false }
    }

    fn set(&mut self, key: &str, value: &str) {
        let place = match key {
            "kind" => &mut self.kind,
            "apiVersion" => &mut self.api_version,
            "name" => &mut self.name,
            _ => return,
        };
        *place = Some(value.to_owned());
    }

    /// What is odd about it, if anything.
    fn check(&self) -> Result<Option<String>> {
        let (kind, version) = match (&self.kind, &self.api_version) {
            (None, None) if self.old => return Ok(None),
            (None, _) => {
                return Err(self.at.error(
                    "has no kind: write what it configures, such as `kind: HostnameConfig`, or \
                     put what it says under `machine:` or `cluster:`",
                ));
            }
            (Some(_), None) => {
                let what = "has a kind and no apiVersion: write `apiVersion: v1alpha1`";
                return Err(self.at.error(what));
            }
            (Some(kind), Some(version)) => (kind, version),
        };
        if version != API_VERSION {
            return Ok(Some(format!("has an apiVersion that is not known: {API_VERSION} is")));
        }
        if KINDS.contains(&kind.as_str()) {
            return Ok(None);
        }
        Ok(Some(match nearest(kind, KINDS.iter().copied()) {
            Some(meant) => format!("is of a kind that is not known: did you mean {meant}?"),
            None => "is of a kind that is not known: a newer Talos may know it".to_owned(),
        }))
    }
}

/// What is open around the next node.
enum Open {
    Sequence,
    Mapping {
        keys: BTreeSet<String>,
        /// The key whose value comes next; empty for one that is no text.
        key: Option<String>,
    },
}

/// The documents of `text`, all but empty ones. Of each no more is kept than its meaning takes;
/// aliases are not followed.
fn documents(text: &str) -> Result<Vec<Document>> {
    let mut documents: Vec<Document> = Vec::new();
    let mut open = Vec::new();
    let mut number = 0;
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| no_yaml(&error))?;
        match event {
            Event::DocumentStart(..) => number += 1,
            Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
            _ => {}
        }
        if !event.is_node() {
            continue;
        }
        let at = Place::new(number, &span.start);
        let scalar = event.scalar().map(|(text, _)| text);
        let null = matches!(event.scalar(), Some(("" | "~" | "null", ScalarStyle::Plain)));
        let outermost = open.len() == 1;
        match (open.last_mut(), documents.last_mut()) {
            (None, _) if matches!(event, Event::MappingStart(..)) => {
                documents.push(Document::new(at));
            }
            (None, _) if null => {}
            (None, _) => return Err(at.error("is no mapping: write `key: value`")),
            (Some(Open::Mapping { keys, key }), Some(document)) => match key.take() {
                None => {
                    if !scalar.is_none_or(|scalar| keys.insert(scalar.to_owned())) {
                        return Err(at.error("has this key twice in one mapping: leave one out"));
                    }
                    document.old |= outermost && scalar.is_some_and(|key| OLD_KEYS.contains(&key));
                    *key = Some(scalar.unwrap_or_default().to_owned());
                }
                Some(key) => {
                    if let (Some(scalar), true) = (scalar, outermost && !null) {
                        document.set(&key, scalar);
                    }
                }
            },
            (Some(_), _) => {}
        }
        match event {
            Event::MappingStart(..) => {
                open.push(Open::Mapping { keys: BTreeSet::new(), key: None });
            }
            Event::SequenceStart(..) => open.push(Open::Sequence),
            _ => {}
        }
    }
    Ok(documents)
}

/// What the parser says, but for what could be a piece of the text.
fn no_yaml(error: &ScanError) -> Error {
    let what = match error.kind() {
        ErrorKind::UnexpectedCharacter { .. } => {
            "this character starts no value: put quotes around".to_owned()
        }
        ErrorKind::Custom(_) | ErrorKind::InputIo { .. } | ErrorKind::InputDecoding { .. } => {
            "it is no YAML".to_owned()
        }
        kind => kind.to_string(),
    };
    let (line, column) = (error.marker().line(), error.marker().col() + 1);
    Error::input(format!("machine configuration: line {line} column {column}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c3VwZXJzZWNyZXQ";

    fn check(text: &str) -> Result<Vec<String>> {
        MachineConfig::from(text.to_owned()).check(&"1.12.0".parse().unwrap())
    }

    #[test]
    fn documents_talos_reads() {
        for good in [
            "version: v1alpha1\nmachine:\n  token: a\ncluster: {id: b}\n",
            "# comment\n---\ndebug: true\n---\n---\napiVersion: v1alpha1\nkind: HostnameConfig\n",
            "{\"apiVersion\": \"v1alpha1\", \"kind\": \"KubeletConfig\"}",
            "apiVersion: v1alpha1\nkind: VLANConfig\nname: a\n---\n\
             apiVersion: v1alpha1\nkind: VLANConfig\nname: b\nmtu: &m 9\nvlan: *m\n? [x]\n: {x: 1}\n",
        ] {
            assert_eq!(check(good), Ok(vec![]), "{good}");
        }
        let kinds: BTreeSet<_> = KINDS.iter().collect();
        assert!(kinds.into_iter().eq(KINDS), "sorted, each once");
    }

    #[test]
    fn odd_documents() {
        for (odd, warning) in [
            (
                "machine: {}\n---\napiVersion: v1alpha1\nkind: HostNameConfg\n",
                "line 3 column 1: document 2 is of a kind that is not known: did you mean \
                 HostnameConfig?",
            ),
            (
                "{apiVersion: v1alpha1, kind: c3VwZXJzZWNyZXQ}",
                "line 1 column 1: document 1 is of a kind that is not known: a newer Talos may \
                 know it",
            ),
            (
                "{apiVersion: c3VwZXJzZWNyZXQ, kind: Pod}",
                "line 1 column 1: document 1 has an apiVersion that is not known: v1alpha1 is",
            ),
        ] {
            assert_eq!(check(odd), Ok(vec![format!("machine configuration: {warning}")]), "{odd}");
        }
    }

    #[test]
    fn what_is_refused_is_told_by_its_place_without_a_piece_of_the_text() {
        let s = SECRET;
        for (bad, expected) in [
            (" \n".to_owned(), "is empty"),
            (format!("# {s}\n---\n"), "has no document"),
            (format!("version: v1alpha1\n{s}: {s}\n"), "line 1 column 1: document 1 has no kind"),
            (
                format!("machine: {{}}\n---\napiVersion: v1alpha1\nkind:\n{s}: 1\n"),
                "line 3 column 1: document 2 has no kind",
            ),
            (format!("kind: {s}\n"), "line 1 column 1: document 1 has a kind and no apiVersion"),
            (
                format!("machine: {{a: {s}}}\n---\ncluster: {{}}\n"),
                "line 3 column 1: document 2 has the kind and the name of document 1 at line 1",
            ),
            (
                format!("apiVersion: v1alpha1\nkind: {s}\nname: {s}\n---\n").repeat(2),
                "line 5 column 1: document 2 has the kind and the name of document 1 at line 1",
            ),
            (s.to_owned(), "line 1 column 1: document 1 is no mapping"),
            (format!("- {s}\n"), "line 1 column 1: document 1 is no mapping"),
            (
                format!("machine:\n  {s}: a\n  {s}: b\n"),
                "line 3 column 3: document 1 has this key twice in one mapping",
            ),
            (format!("machine:\n\t{s}: 1\n"), "line 2 column 2: tabs"),
            (format!("machine: {{token: {s}\n"), "line 1 column 10: unclosed bracket"),
            (format!("machine: @{s}\n"), "line 1 column 10: this character starts no value"),
            (format!("machine: \"{s}\\{s}\"\n"), "line 1 column 10: "),
            (format!("machine: *{s}\n"), "line 1 column 10: "),
            (format!("machine: !{s}!x y\n"), "line 1 column 10: "),
            (format!("machine: {s}: {s}\n"), "line 1 column 25: "),
            (format!("%{s} 1\n%YAML {s}\n---\nmachine: 1\n"), "line 2 column 1: "),
            (format!("machine: {}{s}", "[".repeat(5000)), "line 1 column "),
        ] {
            let error = check(&bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{bad:.60?}: {error}");
            assert!(!error.contains(s), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let config = MachineConfig::from(format!("machine: {s}"));
        let error = config.check(&"1.11.5".parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        assert!(!format!("{config:?}{error:?}").contains(s));
    }
}

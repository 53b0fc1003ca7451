use super::*;
use crate::talos::release::REGISTRY;
use proptest::{prelude::*, sample::select};

#[test]
fn base_profiles_are_filled_as_the_imager_fills_them() {
    let rows: Vec<[&str; 6]> = include_str!("../../../tests/golden/profiles.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'))
        .map(|row| row.split('\t').collect::<Vec<_>>().try_into().unwrap())
        .collect();
    let around = include_str!("../../../tests/golden/profile-base.yaml");
    let mut names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    names.dedup();
    assert!(Profile::base_names().eq(names.iter().copied()));
    for (name, arch, minor, v) in names.into_iter().flat_map(|name| {
        let spellings = (2..=15).flat_map(|minor| [(minor, ""), (minor, "v")]);
        spellings.flat_map(move |(minor, v)| Arch::ALL.map(|arch| (name, arch, minor, v)))
    }) {
        let written = format!("{v}1.{minor}.0");
        let version: TalosVersion = written.parse().unwrap();
        let profile = Profile {
            base_profile_name: name.to_owned(),
            arch: Some(arch),
            version: Some(version.clone()),
            ..Profile::default()
        };
        let target = profile.clone().target();
        let row = rows.iter().rfind(|row| {
            let from: TalosVersion = row[2].parse().unwrap();
            row[0] == name
                && ["*", arch.name()].contains(&row[1])
                && from.release() <= version.release()
        });
        let Some([.., platform, file, output]) = row else {
            assert!(target.is_err(), "{name} {written}");
            continue;
        };
        let secure = name.starts_with("secureboot");
        let installer = if minor < 10 { "installer" } else { "installer-base" };
        let mut expected: String = around
            .split_inclusive('\n')
            .filter(|line| secure || !line.starts_with('?'))
            .map(|line| line.trim_start_matches('?'))
            .collect();
        for (hole, text) in [
            ("{output}", output.replace('|', "\n  ").as_str()),
            ("{platform}", platform),
            ("{secureboot}", if secure { "true" } else { "false" }),
            ("{registry}", REGISTRY),
            ("{installer}", installer),
            ("{version}", &written),
            ("{arch}", arch.name()),
        ] {
            expected = expected.replace(hole, text);
        }
        assert_eq!(profile.filled().unwrap().to_yaml(), expected, "{name} {arch} {written}");
        let file = file.replace("{arch}", arch.name());
        assert_eq!(target.unwrap().packed_file_name(), file);
    }
}

#[test]
fn a_whole_profile() {
    let profile = Profile::from_yaml(include_str!("../../../tests/golden/profile.yaml")).unwrap();
    let filled = profile.filled().unwrap().to_yaml();
    assert_eq!(filled, include_str!("../../../tests/golden/profile-filled.yaml"));
    assert_eq!(Profile::from_yaml(&filled).unwrap().to_yaml(), filled);
}

#[test]
fn an_overlay_without_a_name_is_the_default_one() {
    let yaml = "{baseProfileName: iso, arch: arm64, version: 1.11.0, overlay: {}}";
    let overlay = Profile::from_yaml(yaml).unwrap().target().unwrap().overlay;
    assert_eq!(overlay.unwrap().name, "default");
}

#[test]
fn an_image_or_a_directory() {
    let digest = format!("registry.example/x@sha256:{}", "0".repeat(64));
    let images =
        "registry.example/x:v1 registry.example/a/x:v1 localhost/x:v1 reg:5000/x:v1 d.d/x:y";
    for image in images.split(' ').chain([digest.as_str()]) {
        assert_eq!(ContainerAsset::reference_or_path(image), ContainerAsset::reference(image));
    }
    let paths =
        "x:v1 a/x:v1 ./x /x x registry.example/x ./x:v1 ../x.y/x:v1 d.d/x registry.example/X:v1";
    for path in paths.split(' ') {
        assert_eq!(ContainerAsset::reference_or_path(path).oci_path, path);
    }
}

#[test]
fn refusals_name_the_place_and_the_mend() {
    let base = "baseProfileName: iso\narch: amd64\nversion: v1.11.0\n";
    let target = |yaml: &str| Profile::from_yaml(&format!("{base}{yaml}"))?.target();
    for (yaml, expected) in [
        ("name: a\nname: b", "profile: line 5 column 1: key \"name\" stands twice"),
        ("? [a]\n: b", "profile: line 4 column 3: a text is needed here"),
        ("name: a\n---\n", "a second document starts"),
        (
            "output: {kind: kernel}\ncustomization: {extraKernelArgs: [a]}",
            "output kind kernel has no kernel arguments: leave it out",
        ),
        (
            "customization: {metaContents: [{key: 0xa, value: a;b}]}",
            "META value 0xa has a \";\", which parts values on a kernel command line",
        ),
        (
            &format!(
                "customization: {{metaContents: [{{key: 10, value: {}}}]}}",
                "a".repeat(1 << 18)
            ),
            "META values need 262152 bytes, and the partition holds 262104: shorten them",
        ),
        ("output: {kind: image, outFormat: raw}", "output.imageOptions.diskSize is not given"),
    ] {
        let error = target(yaml).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}\n{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = Profile::base("metal-ukki").unwrap_err().to_string();
    assert_eq!(error, "there is no base profile \"metal-ukki\": did you mean \"metal-uki\"?");
}

#[test]
fn what_is_said_goes_before_the_base_and_the_defaults() {
    let yaml = "
baseProfileName: metal
arch: amd64
version: 1.10.0
output:
  kind: ISO
  isoOptions: {bootloader: grub}
";
    let target = Profile::from_yaml(yaml).unwrap().target().unwrap();
    assert_eq!(target.packed_file_name(), "metal-amd64.iso.zst");
    let iso = Iso { bootloader: Bootloader::Grub, enroll_keys: EnrollKeys::IfSafe };
    assert_eq!(target.output, Output::Iso(iso));
    let secure = Profile { secure_boot: Some(true), ..Profile::from_yaml(yaml).unwrap() };
    let Output::Iso(iso) = secure.target().unwrap().output else { panic!() };
    assert_eq!(iso.bootloader, Bootloader::SdBoot);
}

/// A line of a profile as it is printed, without the lines below it.
struct Line<'a> {
    /// From 0.
    number: usize,
    /// Where the key starts, from 0.
    at: usize,
    key: &'a str,
    value: &'a str,
}

impl Line<'_> {
    /// The text with another key and value here, without what stood below the key.
    fn replaced(&self, text: &str, key: &str, value: &str) -> String {
        let mut lines = text.lines();
        let mut mended: Vec<_> = lines.by_ref().take(self.number).map(str::to_owned).collect();
        let before = &lines.next().unwrap()[..self.at];
        mended.push(format!("{before}{key}: {value}"));
        let deeper = |line: &&str| {
            let indent = line.len() - line.trim_start().len();
            // A list may start in the column of its key.
            indent > self.at || (line[indent..].starts_with('-') && indent >= before.len())
        };
        mended.extend(lines.skip_while(deeper).map(str::to_owned));
        mended.join("\n")
    }

    /// What a message says first when it is about the key, or the value.
    fn place(&self, of_value: bool) -> String {
        let column = self.at + 1 + if of_value { self.key.len() + 2 } else { 0 };
        format!("profile: line {} column {column}: ", self.number + 1)
    }
}

/// A profile in which every key stands, as it prints, with no mapping on one line.
fn full() -> String {
    Profile::from_yaml(include_str!("../../../tests/golden/profile.yaml")).unwrap().to_yaml()
}

/// The lines that have a key a profile knows.
fn keys(text: &str) -> Vec<Line<'_>> {
    let mut keys = Vec::new();
    // Below a literal block or an overlay's options anything may stand.
    let mut free_below = usize::MAX;
    for (number, line) in text.lines().enumerate() {
        let at = line.len() - line.trim_start_matches([' ', '-']).len();
        if at > free_below {
            continue;
        }
        free_below = usize::MAX;
        let Some((key, value)) = line[at..].split_once(':') else { continue };
        let value = value.trim_start();
        if value == "|" || key == "options" {
            free_below = at;
        }
        if key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            keys.push(Line { number, at, key, value });
        }
    }
    keys
}

fn refusal(text: &str) -> String {
    let error = Profile::from_yaml(text).expect_err(text).to_string();
    assert!(!error.contains('\n') && error.chars().count() < 550, "{error}");
    error
}

#[test]
fn every_key_mistyped_and_every_value_of_another_type() {
    let text = full();
    for line in keys(&text) {
        let Line { key, value, .. } = line;
        let last = key.chars().last().unwrap();
        assert_eq!(
            refusal(&line.replaced(&text, &format!("{key}{last}"), "1")),
            format!("{}key \"{key}{last}\" is unknown: did you mean {key:?}?", line.place(false)),
        );
        let (wrong, needed) = match (key, value) {
            ("systemExtensions" | "metaContents" | "extraKernelArgs", _) => {
                ("x", "a list is needed")
            }
            (_, "") => ("x", "keys with values are needed"),
            _ => ("[]", "a text is needed"),
        };
        let error = refusal(&line.replaced(&text, key, wrong));
        let expected = format!("{}{needed} here", line.place(true));
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
}

#[test]
fn the_full_profile_is_full() {
    let text = full();
    let lines = keys(&text);
    // Images stand in several places: together they have all keys.
    let mut there: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for line in &lines {
        let error = refusal(&line.replaced(&text, "qqqq", "1"));
        let known = error.split_once("here stand ").unwrap().1;
        there.entry(known.to_owned()).or_default().push(line.key);
    }
    assert_eq!(there.len(), 13);
    for (known, there) in there {
        for key in known.split(", ") {
            assert!(there.contains(&key), "{key} is missing");
        }
    }
}

#[test]
fn every_value_that_cannot_be() {
    let text = full();
    let mut seen = 0;
    for line in keys(&text) {
        for (key, wrong, expected) in [
            ("arch", "amd46", "arch \"amd46\" is neither amd64 nor arm64"),
            ("platform", "no-cloud", "platform \"no-cloud\" is unknown: did you mean \"nocloud\"?"),
            ("platform", "none", "platform \"none\" is unknown: one of "),
            ("secureboot", "maybe", "is neither true nor false"),
            ("version", "banana", "\"banana\" is no Talos version"),
            ("version", "1.11", "\"1.11\" is no Talos version"),
            ("key", "256", "META key \"256\" is no number from 1 to 255"),
            ("key", "uid-override", "META key \"uid-override\" is unknown: did you mean"),
            ("imageRef", "A:b c", "\"A:b c\" names no image"),
            ("forceInsecure", "2", "is neither true nor false"),
            ("includeWellKnownCerts", "2", "is neither true nor false"),
            ("path", "", "nothing stands here"),
            ("kind", "isoo", "output kind \"isoo\" is unknown: did you mean \"iso\"?"),
            ("diskSize", "-1", "\"-1\" is no size: write it in bytes"),
            ("diskSize", "8GiB", "\"8GiB\" is no size: write it in bytes"),
            ("diskFormat", "vmdk", "disk format \"vmdk\" is unknown: one of "),
            ("diskSectorSize", "520", "diskSectorSize 520 is neither 512 nor 4096"),
            ("bootloader", "sdboot", "bootloader \"sdboot\" is unknown: did you mean \"sd-boot\"?"),
            ("sdBootEnrollKeys", "on", "key enrolment \"on\" is unknown: "),
            ("outFormat", "xz", "output format \"xz\" is unknown: did you mean \".xz\"?"),
        ] {
            if key == line.key && !line.value.is_empty() {
                let error = refusal(&line.replaced(&text, key, wrong));
                let place = line.place(!wrong.is_empty());
                let place =
                    if wrong.is_empty() { place.split(" column").next().unwrap() } else { &place };
                assert!(error.starts_with(place) && error.contains(expected), "{error}");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
    refusal(&format!("arch: {}", "é".repeat(1000)));
    assert_eq!(
        refusal("# a comment\nbaseProfileName: metall\n"),
        "profile: line 2 column 18: there is no base profile \"metall\": did you mean \"metal\"?"
    );
    let open =
        "name:\nsecureboot: ~\nversion:\ncustomization:\ninput:\n  systemExtensions:\noutput:";
    assert_eq!(Profile::from_yaml(open), Ok(Profile::default()));
    let free = "overlay: {options: {a: yes, b: true, c: 012, d: 0x10, e: ~}}";
    let options = Profile::from_yaml(free).unwrap().overlay.unwrap().options;
    assert_eq!(
        serde_json::to_string(&options).unwrap(),
        r#"{"a":"yes","b":true,"c":10,"d":16,"e":null}"#
    );
    assert!(Profile::from_yaml("{baseProfileName: board, overlay: {name: x}}").is_ok());
}

fn hard_text() -> BoxedStrategy<String> {
    const WORDS: &[&str] =
        &["", "true", "0x1", "~", " a", "a: b", "-", "a\nb\n", "1.5", "2024-01-01", "\0", "'"];
    // go-yaml, which the writer agrees with, loses spaces after leading line breaks.
    let kept =
        |text: &String| !(text.starts_with('\n') && text.trim_start_matches('\n').starts_with(' '));
    prop_oneof![
        select(WORDS).prop_map(str::to_owned),
        "\\PC{0,12}",
        "[ -~\n\t]{0,20}".prop_filter("lost by go-yaml", kept),
    ]
    .boxed()
}

fn image() -> impl Strategy<Value = ContainerAsset> {
    const REFERENCES: &[&str] = &["", "a/b:c", "registry.example:5000/x"];
    (select(REFERENCES), any::<bool>(), hard_text(), hard_text()).prop_map(
        |(reference, force_insecure, tarball_path, oci_path)| ContainerAsset {
            image_ref: reference.to_owned(),
            force_insecure,
            tarball_path,
            oci_path,
        },
    )
}

prop_compose! {
    fn signing()(texts in prop::array::uniform9(hard_text()), known: bool) -> SecureBootAssets {
        let [key, cert, vault, id, kms, region, address, path, arn] = texts;
        SecureBootAssets {
            secure_boot_signer: SigningKeyAndCertificate {
                key_path: key.clone(),
                cert_path: cert,
                azure_vault_url: vault.clone(),
                azure_certificate_id: id.clone(),
                aws_kms_key_id: kms.clone(),
                aws_region: region.clone(),
                aws_cert_path: path.clone(),
                aws_cert_arn: arn,
                signer_address: address.clone(),
            },
            pcr_signer: SigningKey {
                key_path: key,
                azure_vault_url: vault,
                azure_key_id: id,
                azure_key_version: region.clone(),
                aws_kms_key_id: kms,
                aws_region: region,
                signer_address: address,
            },
            platform_key_path: path.clone(),
            key_exchange_key_path: path.clone(),
            signature_key_path: path,
            include_well_known_certs: known,
        }
    }
}

fn option_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;

    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        hard_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,5}", inner, 0..4)
                .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    })
}

prop_compose! {
    fn outputs()(
        kind in prop::option::of(select(OutputKind::ALL)),
        out_format in prop::option::of(select(OutFormat::ALL)),
        disk_format in prop::option::of(select(DiskFormat::ALL)),
        bootloader in prop::option::of(select(Bootloader::ALL)),
        enroll_keys in select(EnrollKeys::ALL),
        disk_size: u64,
        disk_format_options in hard_text(),
        disk_sector_size in select(&[0, 512, 4096][..]),
        present: [bool; 2],
    ) -> OutputOptions {
        let image = ImageOptions {
            disk_size,
            disk_format,
            disk_format_options,
            disk_sector_size,
            bootloader,
            // Printed only where it is not the default.
            enroll_keys: Some(enroll_keys).filter(|&keys| keys != EnrollKeys::IfSafe),
        };
        OutputOptions {
            kind,
            image_options: present[0].then_some(image),
            iso_options: present[1]
                .then_some(IsoOptions { enroll_keys: Some(enroll_keys), bootloader }),
            out_format,
        }
    }
}

prop_compose! {
    fn profiles()(
        base in select(&["", "metal", "secureboot-iso"][..]),
        arch in prop::option::of(select(&Arch::ALL[..])),
        platform in prop::option::of(select(&Platform::ALL[..])),
        version in prop::option::of("v?1\\.[0-9]\\.(0|[1-9][0-9])(-alpha\\.[0-9])?(\\+b)?"),
        secure_boot: Option<bool>,
        texts in prop::array::uniform6(hard_text()),
        extra_kernel_args in prop::collection::vec(hard_text(), 0..4),
        meta in prop::collection::vec((1_u8.., hard_text()), 0..4),
        images in prop::collection::vec(image(), 3..6),
        assets in prop::option::of(signing().boxed()),
        options in prop::option::of(prop::collection::btree_map("[a-zA-Z]{1,9}", option_value(), 0..4)),
        output in outputs().boxed(),
    ) -> Profile {
        let [name, config, overlay_name, files @ ..] = texts;
        let [kernel, initramfs, sd_stub] = files.map(|path| FileAsset { path });
        let meta = meta.into_iter().map(|(key, value)| MetaValue { key, value });
        Profile {
            base_profile_name: base.to_owned(),
            arch,
            platform,
            secure_boot,
            name,
            version: version.map(|version| version.parse().unwrap()),
            customization: Customization {
                extra_kernel_args,
                meta_contents: meta.collect(),
                embedded_machine_configuration: config.into(),
            },
            overlay: options.map(|options| Overlay {
                name: overlay_name,
                image: images[0].clone(),
                options,
            }),
            input: Input {
                kernel,
                initramfs,
                sd_boot: sd_stub.clone(),
                sd_stub,
                base_installer: images[1].clone(),
                image_cache: images[0].clone(),
                overlay_installer: images[2].clone(),
                secure_boot: assets,
                system_extensions: images,
            },
            output,
        }
    }
}

proptest! {
    #[test]
    fn reads_what_it_prints(profile in profiles()) {
        let text = profile.to_yaml();
        let read = Profile::from_yaml(&text).map_err(|error| error.to_string());
        prop_assert_eq!(read.as_ref(), Ok(&profile), "{}", text);
        prop_assert_eq!(read.unwrap().to_yaml(), text);
    }

    /// However a profile is broken, what it carries for the machine stays out of the message.
    #[test]
    fn no_secret_in_an_error(at: prop::sample::Index, with in "[ \n:|#\\-\\[{\"'&*!%x\t]{0,3}", cut in 0..4_usize) {
        const SECRET: &str = "s3cr3t";
        let text = full().replace(
            "kind: HostnameConfig",
            "token: s3cr3t\n    key: 's3cr3t'\n    ca: {crt: s3cr3t, all: [s3cr3t, \"s3cr3t\"]}\n    s3cr3t\n    - s3cr3t",
        );
        let start = text.find("embedded").unwrap();
        let end = text.rfind(SECRET).unwrap();
        let at = start + at.index(end - start);
        let mut broken = text.clone();
        broken.replace_range(at..(at + cut).min(end), &with);
        if let Err(error) = Profile::from_yaml(&broken) {
            let error = error.to_string();
            prop_assert!(!error.contains(SECRET) && !error.contains('\n'), "{}\n{}", error, broken);
        }
    }
}

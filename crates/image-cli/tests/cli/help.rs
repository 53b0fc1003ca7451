//! Help, manual pages and completions.

use super::*;

#[test]
fn help_is_an_answer_and_a_reader_who_leaves_is_no_failure() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["build", "--help"]).status.code(), Some(0));
    assert_eq!(run(&[]).status.code(), Some(2));

    let mut child =
        talos_image(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let output = run(&["man", pages.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed = json_lines(&output.stdout);
    assert_eq!(listed.len(), fs::read_dir(&pages).unwrap().count());
    for page in &listed {
        assert!(Path::new(page["page"].as_str().unwrap()).is_file(), "{page}");
    }
    let build = fs::read_to_string(pages.join("talos-image-build.1")).unwrap();
    for flag in ["system\\-extension\\-image", "overlay\\-option"] {
        assert!(build.contains(flag), "{flag}\n{build}");
    }
    // Also what `--help` does not show is explained: behind each flag there is a text.
    for (at, line) in build.lines().enumerate().filter(|(_, line)| *line == ".TP") {
        let text = build.lines().nth(at + 2).unwrap();
        assert!(text.starts_with(|first: char| first.is_alphanumeric()), "{line} {at}\n{build}");
    }
    assert!(pages.join("talos-image-schematic-id.1").is_file());
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(text(&output.stdout).contains("talos-version"), "{shell}");
    }
}

/// Every command, by its words.
const COMMANDS: [&[&str]; 14] = [
    &[],
    &["build"],
    &["profile"],
    &["schematic"],
    &["schematic", "id"],
    &["schematic", "show"],
    &["extensions"],
    &["extensions", "list"],
    &["inspect"],
    &["verify"],
    &["extract"],
    &["keys"],
    &["completions"],
    &["man"],
];

#[test]
fn help_fits_a_screen_and_names_every_flag_once() {
    const SCREEN: (usize, usize) = (56, 100);
    for command in COMMANDS {
        let long = run(&[command, &["--help"]].concat());
        assert_eq!(long.status.code(), Some(0), "{command:?}");
        let help = text(&long.stdout);
        assert_eq!(help, text(&run(&[command, &["-h"]].concat()).stdout), "{command:?}");
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(help.lines().count() <= SCREEN.0 && widest <= SCREEN.1, "{command:?}\n{help}");
        assert!(help.contains("Example"), "{command:?}\n{help}");

        let mut flags: Vec<&str> = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
            .collect();
        flags.sort_unstable();
        let all = flags.len();
        flags.dedup();
        assert_eq!(flags.len(), all, "{command:?}\n{help}");
    }
}

#[test]
fn shells_offer_profiles_platforms_and_the_first_version_of_every_line() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        let script = text(&output.stdout);
        // Two of these complete flags only, not what stands behind one; fish no bare words.
        let words: &[&str] = match shell {
            "elvish" | "powershell" => &["--platform", "--talos-version"],
            "fish" => &["digital-ocean", "v1.2.0", "v1.15.0"],
            _ => &["secureboot-metal-uki", "digital-ocean", "v1.2.0", "v1.15.0"],
        };
        for word in words {
            assert!(script.contains(word), "{shell} does not offer {word}");
        }
    }
}

#[test]
fn bash_completes_what_commands_take() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("talos-image");
    fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    for (words, offered) in [
        ("ext", "extensions extract"),
        ("build metal-", "metal-4k metal-uki"),
        ("build --platform no", "nocloud"),
        ("profile --talos-version v1.2", "v1.2.0"),
        ("schematic sh", "show"),
        ("extensions list --tal", "--talos-version"),
    ] {
        let (before, word) = words.rsplit_once(' ').unwrap_or(("", words));
        let previous = before.rsplit(' ').next().unwrap();
        let complete = format!(
            "source \"$0\"; COMP_WORDS=(talos-image {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             function=$(complete -p talos-image | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $function talos-image '{word}' '{previous}'; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash").arg("-c").arg(complete).arg(&script).output().unwrap();
        assert_eq!(text(&output.stdout).trim(), offered, "{words}: {output:?}");
    }
}

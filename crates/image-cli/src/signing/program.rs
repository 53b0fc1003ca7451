//! Signing by another program, so that any key service or device will do.
//!
//! The program gets the bare digest on standard input and writes the signature to standard output:
//! bare or base64, and one by ECDSA as DER or as two numbers. Its environment says more:
//!
//! | variable | value |
//! |---|---|
//! | `TALOS_IMAGE_SIGN_WHAT` | what is signed, for people |
//! | `TALOS_IMAGE_SIGN_HASH` | `sha256`, `sha384` or `sha512` |
//! | `TALOS_IMAGE_SIGN_ALGORITHM` | `rsa-pkcs1` or `ecdsa-p256` |
//! | `TALOS_IMAGE_SIGN_KEY` | SHA-256 of the public key's SubjectPublicKeyInfo |
//!
//! It runs in a process group of its own, all of which is killed when it takes too long; so it
//! cannot ask anything at the terminal.

use image_core::{
    signature::{Error, PublicKey, Request, Signer},
    signers::{MAX_ANSWER, signature_in},
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take where nobody says otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether the program is done.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of standard error that are kept, the last.
const SAID: usize = 4096;
/// Letters of its last line that are quoted.
const QUOTED: usize = 200;

/// A signer that is a program.
#[derive(Debug)]
pub(crate) struct SignerCommand {
    program: String,
    arguments: Vec<String>,
    limit: Duration,
    key: PublicKey,
}

impl SignerCommand {
    /// The program and its arguments in one text, words set apart as a shell does it: by blanks,
    /// unless `'…'`, `"…"` or `\` hold them together. There is no shell: what needs one is for a
    /// script.
    ///
    /// # Errors
    /// No words or an open quote; a key that is not fit to sign.
    pub(crate) fn new(text: &str, limit: Duration, key: PublicKey) -> Result<Self, Error> {
        key.fit_to_sign()?;
        let mut words = words(text)
            .ok_or_else(|| Error::Key(format!("the signer command {text:?} has an open quote")))?
            .into_iter();
        let program = words.next().filter(|program| !program.is_empty());
        let program =
            program.ok_or_else(|| Error::Key("the signer command names no program".to_owned()))?;
        Ok(Self { program, arguments: words.collect(), limit, key })
    }

    fn failed(&self, why: impl std::fmt::Display) -> Error {
        Error::Signer(format!("the signer program {}: {why}", self.program))
    }

    /// Runs the program until it is done, or as long as it may.
    fn answer(&self, request: &Request<'_>) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), Error> {
        let deadline = Instant::now() + self.limit;
        let mut child = self.start(request)?;
        let group = Pid::from_child(&child);
        let answer = child.stdout.take().map(|out| read_aside(move || first(out)));
        let said = child.stderr.take().map(|err| read_aside(move || last(err)));
        if let Some(mut stdin) = child.stdin.take() {
            // A digest fits into any pipe. A program that does not read it fails by its answer.
            let _ = stdin.write_all(request.digest);
        }
        let done = wait(&mut child, deadline).and_then(|status| {
            // What it left behind may still hold its output open.
            let read = |from: Option<Receiver<Vec<u8>>>| {
                let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
                from.and_then(|from| from.recv_timeout(left).ok())
            };
            Some((status, read(answer)?, read(said)?))
        });
        done.ok_or_else(|| {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
            self.failed(format_args!("did not answer within {} s", self.limit.as_secs()))
        })
    }

    fn start(&self, request: &Request<'_>) -> Result<Child, Error> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env("TALOS_IMAGE_SIGN_WHAT", request.what)
            .env("TALOS_IMAGE_SIGN_HASH", request.hash.name())
            .env("TALOS_IMAGE_SIGN_ALGORITHM", self.key.algorithm().name())
            .env("TALOS_IMAGE_SIGN_KEY", self.key.fingerprint())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => self.failed("there is none: give its path"),
                _ => self.failed(format_args!("cannot be run: {error}")),
            })
    }
}

impl Signer for SignerCommand {
    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let (status, answer, said) = self.answer(request)?;
        let said = last_line(&said);
        let what = request.what;
        if answer.len() > MAX_ANSWER {
            let why = format!("answered with more than {MAX_ANSWER} bytes for {what}");
            return Err(self.failed(why));
        }
        if !status.success() {
            return Err(self.failed(format_args!("failed to sign {what} ({status}){said}")));
        }
        if answer.is_empty() {
            return Err(self.failed(format_args!("answered nothing for {what}{said}")));
        }
        signature_in(&answer, &self.key, request).ok_or_else(|| {
            self.failed(format_args!(
                "its answer of {} bytes is no signature of {what} by the {}; it is to sign the \
                 {} digest on its standard input as it is{said}",
                answer.len(),
                self.key,
                request.hash
            ))
        })
    }
}

/// Waits for the end of the program itself; none if it comes too late.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(LOOK);
    }
}

/// Reads on another thread. It is left alone if what is read never ends.
fn read_aside(read: impl FnOnce() -> Vec<u8> + Send + 'static) -> Receiver<Vec<u8>> {
    let (to, from) = mpsc::channel();
    thread::spawn(move || to.send(read()));
    from
}

/// As much as can be an answer, and a byte more.
fn first(out: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read is missing, which shows.
    let _ = out.take(MAX_ANSWER as u64 + 1).read_to_end(&mut bytes);
    bytes
}

/// The last [`SAID`] bytes.
fn last(mut err: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; SAID];
    while let Ok(read @ 1..) = err.read(&mut chunk) {
        kept.extend(chunk.iter().take(read));
        kept.drain(..kept.len().saturating_sub(SAID));
    }
    kept
}

/// What the program said last, to stand behind an error; nothing if it was silent.
fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.map(|line| format!(": {}", line.chars().take(QUOTED).collect::<String>()))
        .unwrap_or_default()
}

/// None if a quote is open at the end.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        end if end == letter => break,
                        '\\' if letter == '"' => word.push(letters.next()?),
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_core::{
        signature::HashFunction,
        signers::{KeyType, PrivateKey},
    };
    use std::{fs, path::Path};

    #[test]
    fn words_are_set_apart_as_in_a_shell() {
        for (text, expected) in [
            ("a  b\tc", Some(vec!["a", "b", "c"])),
            (r#"'a b'c "d \" $e" f\ g '' "#, Some(vec!["a bc", "d \" $e", "f g", ""])),
            ("", Some(vec![])),
            ("a 'b", None),
            ("a \\", None),
        ] {
            let expected =
                expected.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(words(text), expected, "{text}");
        }
        let key = PrivateKey::generate(KeyType::P256).unwrap().public_key().clone();
        assert!(
            SignerCommand::new(" ", LIMIT, key).unwrap_err().to_string().contains("no program")
        );
    }

    /// A key, and a directory for scripts that are to sign in its place.
    struct Rig {
        dir: tempfile::TempDir,
        key: PrivateKey,
    }

    impl Rig {
        fn new(key_type: KeyType) -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir, key: PrivateKey::generate(key_type).unwrap() }
        }

        fn put(&self, name: &str, content: impl AsRef<[u8]>) {
            fs::write(self.dir.path().join(name), content).unwrap();
        }

        fn sign(&self, script: &str, limit: Duration) -> Result<Vec<u8>, String> {
            let dir = self.dir.path().display();
            self.put("signer", format!("cd '{dir}'\n{script}"));
            let key = self.key.public_key().clone();
            let signer =
                SignerCommand::new(&format!("sh '{dir}/signer' an\\ argument"), limit, key);
            signer.unwrap().sign(&request(&digest())).map_err(|error| error.to_string())
        }
    }

    fn digest() -> Vec<u8> {
        HashFunction::Sha256.digest(b"a UKI")
    }

    fn request(digest: &[u8]) -> Request<'_> {
        Request { what: "the UKI", hash: HashFunction::Sha256, digest }
    }

    #[test]
    fn a_program_gets_the_digest_and_what_it_is_of_and_gives_the_signature() {
        for key_type in [KeyType::Rsa2048, KeyType::P256] {
            let rig = Rig::new(key_type);
            let signature = rig.key.sign(&request(&digest())).unwrap();
            let algorithm = rig.key.public_key().algorithm().name();
            rig.put("digest", digest());
            rig.put("signature", &signature);
            let script = format!(
                "set -e; cmp - digest\n\
                 [ \"$1 $TALOS_IMAGE_SIGN_WHAT\" = 'an argument the UKI' ]\n\
                 [ \"$TALOS_IMAGE_SIGN_HASH $TALOS_IMAGE_SIGN_ALGORITHM\" = 'sha256 {algorithm}' ]\n\
                 [ $TALOS_IMAGE_SIGN_KEY = {} ]\n",
                rig.key.public_key().fingerprint()
            );
            for answer in ["cat signature", "base64 signature"] {
                assert_eq!(rig.sign(&(script.clone() + answer), LIMIT).unwrap(), signature);
            }
        }
    }

    #[test]
    fn a_program_that_does_not_sign_gets_one_line() {
        let rig = Rig::new(KeyType::P256);
        for (script, said) in [
            ("exec 2>&1; echo out; exit 3", "failed to sign the UKI (exit status: 3)"),
            ("echo first >&2; echo no token >&2; echo >&2; exit 1", "(exit status: 1): no token"),
            ("kill -9 $$", "signal: 9"),
            ("", "answered nothing for the UKI"),
            ("echo rubbish", "its answer of 8 bytes is no signature of the UKI by the P-256 key"),
            ("cat", "its answer of 32 bytes is no signature"),
            ("head -c 100000 /dev/zero", "answered with more than 4096 bytes"),
            ("cat /dev/zero", "answered with more than 4096 bytes"),
            ("head -c 1000000 /dev/zero >&2; echo >&2; echo over >&2; exit 1", ": over"),
        ] {
            let error = rig.sign(script, LIMIT).unwrap_err();
            assert!(error.contains(said) && !error.contains('\n'), "{script}: {error}");
        }
        let key = rig.key.public_key().clone();
        let signer = SignerCommand::new("/nowhere/signer", LIMIT, key).unwrap();
        let error = signer.sign(&request(&digest())).unwrap_err().to_string();
        assert_eq!(error, "the signer program /nowhere/signer: there is none: give its path");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_all_it_started() {
        let rig = Rig::new(KeyType::P256);
        for script in ["sleep 60 & echo $! > pid; wait", "sleep 60 & echo $! > pid; exit 0"] {
            let start = Instant::now();
            let error = rig.sign(script, Duration::from_secs(1)).unwrap_err();
            assert!(error.contains("did not answer within 1 s"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(30));
            let pid = fs::read_to_string(rig.dir.path().join("pid")).unwrap();
            let process = Path::new("/proc").join(pid.trim());
            // The killed one is gone, or waits to be counted by who adopted it.
            let gone = || {
                fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
            };
            assert!(
                (0..200).any(|_| gone() || {
                    thread::sleep(LOOK);
                    false
                }),
                "{script}"
            );
        }
    }
}

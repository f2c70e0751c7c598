//! A domain that only one test uses.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use eshm::{Builder, Domain, Endpoint, Removal, Role, Segment};

use super::{Child, Name};

/// A domain that nobody else uses, whose files are removed at the end.
pub struct Place {
    name: Name,
    pub domain: Domain,
}

impl Place {
    pub fn new() -> Place {
        let name = Name::new("segments");
        fs::create_dir(format!("/dev/shm/{}", &*name)).unwrap();
        let domain = Domain::new(format!("/dev/shm/{}", &*name), "t_").unwrap();
        Place { name, domain }
    }

    pub fn path(&self, segment: &str) -> PathBuf {
        self.domain.directory().join(format!("t_{segment}"))
    }

    pub fn builder(&self, segment: &str, role: Role) -> Builder {
        Endpoint::builder(segment).domain(self.domain.clone()).role(role)
    }

    pub fn master(&self, segment: &str) -> Endpoint {
        self.builder(segment, Role::Master).open().unwrap()
    }

    pub fn segment(&self, name: &str) -> Segment {
        let found = self.domain.segments().unwrap();
        found
            .into_iter()
            .find(|segment| segment.name == name)
            .unwrap_or_else(|| panic!("{name} is not listed"))
    }

    /// Removes dead segments. Returns the names of those that were removed, and of those that were left with the reasons.
    pub fn remove_dead(&self) -> (Vec<String>, Vec<(String, String)>) {
        let dry = names(self.domain.find_dead().unwrap());
        let real = names(self.domain.remove_dead().unwrap());
        assert_eq!(dry, real, "find_dead reports what remove_dead does");
        real
    }

    /// Starts a child, which gets the directory.
    pub fn child(&self, scenario: &str, variables: &[(&str, &str)]) -> Child {
        Child::start_with(scenario, self.domain.directory().to_str().unwrap(), variables)
    }

    /// Creates a segment with an unread message, whose master was killed.
    pub fn leave_killed(&self) {
        let child = self.child("be killed", &[]);
        child.expect("open");
        child.kill();
    }

    /// Creates a segment as ESHM 1.x does, with this master.
    pub fn make_legacy(&self, segment: &str, pid: i32) -> File {
        let file = File::options().create_new(true).read(true).write(true).open(self.path(segment)).unwrap();
        file.set_len(8576).unwrap();
        let header = [0x4553_484Du32, 3, 7, 0, 0, 0, pid as u32, 0, 1, 0, 100, 1, 1, 8576];
        file.write_all_at(&header.map(u32::to_ne_bytes).concat(), 0).unwrap();
        file
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(format!("/dev/shm/{}", &*self.name));
    }
}

pub fn names(removal: Removal) -> (Vec<String>, Vec<(String, String)>) {
    let removed = removal.removed.into_iter().map(|segment| segment.name).collect();
    (removed, removal.left.into_iter().map(|left| (left.segment.name, left.reason)).collect())
}

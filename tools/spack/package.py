# Spack recipe. To use it from a clone:
#   spack repo create ~/toysweep-repo toysweep
#   mkdir -p ~/toysweep-repo/packages/toysweep && cp tools/spack/package.py ~/toysweep-repo/packages/toysweep/
#   spack repo add ~/toysweep-repo
#   spack dev-build toysweep@main        # in the clone; or: spack develop, in an environment
from spack.package import *


class Toysweep(CMakePackage):
    """Trains thousands of small models at once over MPI, from one YAML sweep into one HDF5 file."""

    license("MIT")

    version("main", branch="main")

    variant("mpi", default=True, description="Run on many ranks, with parallel HDF5")
    variant("python", default=True, description="What the plotting and loading tools need")

    depends_on("c", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("libyaml")
    depends_on("openssl")
    depends_on("zlib-api")
    depends_on("blas")
    depends_on("lapack")
    depends_on("mpi", when="+mpi")
    depends_on("hdf5@1.10.3:+mpi", when="+mpi")
    depends_on("hdf5@1.10.3:~mpi", when="~mpi")
    depends_on("cmocka", type="test")

    with when("+python"):
        depends_on("python@3.8:", type="run")
        depends_on("py-numpy", type="run")
        depends_on("py-h5py", type="run")
        depends_on("py-matplotlib@3.5:", type="run")
        depends_on("py-xarray", type="run")
        depends_on("py-h5netcdf", type="run")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define_from_variant("TOYSWEEP_MPI", "mpi"),
            self.define("TOYSWEEP_TESTS", self.run_tests),
        ]

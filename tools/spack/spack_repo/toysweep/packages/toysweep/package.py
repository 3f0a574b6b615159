# Spack recipe, for Spack 1.0 and later. From a clone of toysweep:
#   spack repo add tools/spack/spack_repo/toysweep
#   spack dev-build toysweep@main
from spack_repo.builtin.build_systems.cmake import CMakePackage, generator
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Toysweep(CMakePackage, CudaPackage):
    """Trains thousands of small models at once over MPI, on CPUs and GPUs, from one YAML sweep
    into one HDF5 file."""

    maintainers("toysweep")

    license("MIT")

    version("main", branch="main")

    variant("mpi", default=True, description="Run on many ranks, with parallel HDF5")
    variant("python", default=True, description="What the plotting and loading tools need")

    generator("ninja")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+cuda")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("libyaml")
    depends_on("openssl")
    depends_on("zlib-api")
    depends_on("blas")
    depends_on("lapack")
    depends_on("mpi", when="+mpi")
    depends_on("hdf5@1.10.3:+mpi", when="+mpi")
    depends_on("hdf5@1.10.3:~mpi", when="~mpi")
    # cuBLAS comes with CUDA; both are opened when the program starts.
    depends_on("cuda@12:", when="+cuda")
    depends_on("nccl", when="+cuda")
    depends_on("cmocka", type="test")

    with when("+python"):
        depends_on("python@3.9:", type="run")
        depends_on("py-numpy", type="run")
        depends_on("py-h5py", type="run")
        depends_on("py-matplotlib@3.5:", type="run")
        depends_on("py-pandas", type="run")
        depends_on("py-xarray", type="run")
        depends_on("py-h5netcdf", type="run")
        depends_on("py-pyyaml", type="run")
        depends_on("py-tqdm", type="run")

    def cmake_args(self):
        args = [
            self.define_from_variant("TOYSWEEP_MPI", "mpi"),
            self.define_from_variant("TOYSWEEP_CUDA", "cuda"),
            self.define("TOYSWEEP_TESTS", self.run_tests),
        ]
        if self.spec.satisfies("+cuda") and not self.spec.satisfies("cuda_arch=none"):
            architectures = list(self.spec.variants["cuda_arch"].value)
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", architectures))
        return args

    def setup_run_environment(self, env):
        env.prepend_path("PYTHONPATH", join_path(self.prefix.share, "toysweep", "tools"))
        if self.spec.satisfies("+cuda"):
            for name in ("cuda", "nccl"):
                env.prepend_path("LD_LIBRARY_PATH", self.spec[name].libs.directories[0])
